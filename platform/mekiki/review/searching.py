"""Search of a dataset's images by a text or by another image, within the filters of the gallery.

Images that hide their prediction (review.blinding) are left out. The rank of an image in the results for
“scratch” would reveal the model's prediction, and so would the labels of its neighbours.
"""

from dataclasses import dataclass, field
from typing import Any

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.datasets.models import Dataset, Image
from mekiki.datasets.selectors import image_count
from mekiki.learning import search as vectors
from mekiki.learning.models import Encoder, Head
from mekiki.learning.search import index
from mekiki.learning.selectors import embedded_count
from mekiki.review.blinding import hidden_count, unshown_condition, unshown_ids
from mekiki.review.finding import filter_images
from mekiki.review.messages import SEARCH_PROBLEMS


@dataclass(frozen=True)
class Search:
    """The result of a search: hits, a pending state, or a problem with its code.

    `hits` are pairs (image id, similarity), best first.
    """

    images: int  # number of images in the dataset
    searchable: int = 0  # number of images with an embedding
    left_out: int = 0  # images that hide their prediction, at most blinding.COUNT_UP_TO + 1
    encoder: Encoder | None = None
    hits: list[tuple[int, float]] = field(default_factory=list)
    waiting: bool = False
    code: str = ""
    sentence: str = ""  # the problem with the vector of the text
    exact: bool = True
    unindexed: bool = False  # the index does not exist yet, so the search is slower

    @property
    def problem(self) -> str:
        """Return what happened and what to do, or "" if there is no problem."""
        return self.sentence or (SEARCH_PROBLEMS.render(self.code) if self.code else "")


def search(
    *,
    dataset: Dataset,
    head: Head | None,
    asked: dict[str, Any],
    user: User,
    text: str = "",
    like: Image | None = None,
    wait: float = 0.0,
    limit: int = vectors.MAX_HITS,
) -> Search:
    """Search by `text`, or by the image `like` if the text is empty.

    A worker embeds the text, and this function waits for it up to `wait` seconds. `asked` is the cleaned data
    of finding.FilterForm. Its sort order is ignored. Raises PermissionDenied if the user is not a member of
    the dataset.
    """
    require_role(user, dataset, Role.VIEWER)
    total = image_count(dataset)
    encoder = vectors.serving_encoder(dataset)
    searched = min(total, embedded_count(encoder=encoder, dataset=dataset)) if encoder else 0
    if encoder is None or not searched:
        return Search(total, code="nothing_embedded")
    facts: dict[str, Any] = {"searchable": searched, "encoder": encoder, "left_out": hidden_count(dataset)}
    if text:
        answer = vectors.find_text_vector(encoder=encoder, text=text, user=user, wait=wait)
        if answer.waiting:
            return Search(total, **facts, waiting=True)
        if answer.problem:
            return Search(total, **facts, code=answer.problem, sentence=answer.sentence())
        vector = answer.vector
    else:
        assert like is not None
        if unshown_ids(dataset, [like.pk]):
            return Search(total, **facts, code="blind")
        vector = vectors.vector_of(encoder, like)
        if vector is None:
            return Search(total, **facts, code="not_embedded")
    assert vector is not None
    images = filter_images(dataset, head, {name: value for name, value in asked.items() if name != "sort"})
    images = images.filter(~unshown_condition(dataset))
    if like is not None and not text:
        images = images.exclude(pk=like.pk)
    try:
        nearest = vectors.nearest_images(encoder=encoder, vector=vector, images=images, limit=limit)
    except vectors.SearchTooSlowError:
        return Search(total, **facts, code="too_slow")
    unindexed = searched > index.EXACT_UP_TO and not index.is_searchable(encoder)
    return Search(total, **facts, hits=nearest.hits, exact=nearest.exact, unindexed=unindexed)
