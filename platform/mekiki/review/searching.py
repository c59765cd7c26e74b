"""Search of a dataset's images by a text or by another image, within the filters of the gallery.

Images that hide their prediction (review.blinding) are left out. The rank of an image in the results for
“scratch” would reveal the model's prediction, and so would the labels of its neighbours.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

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

# The most example images of one search, of each kind.
MOST_EXAMPLES = 20
# Weight of the negative examples against the positive ones (Rocchio, in The SMART Retrieval System, 1971).
NEGATIVE_WEIGHT = 0.5


@dataclass(frozen=True)
class Examples:
    """What refines a search: further images like the wanted ones, and images and a text unlike them."""

    more: list[Image] = field(default_factory=list)
    less: list[Image] = field(default_factory=list)
    less_text: str = ""

    @property
    def images(self) -> list[Image]:
        """Return all example images."""
        return [*self.more, *self.less]


class _NotReadyError(Exception):
    """Carries the result of a search whose vector does not exist."""

    def __init__(self, **facts: Any) -> None:
        super().__init__()
        self.facts = facts


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
    examples: Examples | None = None,
    by_detail: bool = False,
    wait: float = 0.0,
    limit: int = vectors.MAX_HITS,
) -> Search:
    """Search by `text`, or by the image `like` if the text is empty, refined by `examples`.

    `by_detail` compares the local detail of images with that of `like`. The similarity of a hit is then minus
    the distance. A text and examples have no local detail: with them, the problem is `detail_needs_image`.

    A worker embeds the text, and this function waits for it up to `wait` seconds. `asked` is the cleaned data
    of finding.FilterForm. Its sort order is ignored. Raises PermissionDenied if the user is not a member of
    the dataset.
    """
    require_role(user, dataset, Role.VIEWER)
    total = image_count(dataset)
    examples = examples or Examples()
    if by_detail and (text or like is None or examples != Examples()):
        return Search(total, code="detail_needs_image")
    encoder = vectors.serving_detail(dataset) if by_detail else vectors.serving_encoder(dataset)
    searched = min(total, embedded_count(encoder=encoder, dataset=dataset)) if encoder else 0
    if encoder is None or not searched:
        return Search(total, code="no_detail" if by_detail else "nothing_embedded")
    facts: dict[str, Any] = {"searchable": searched, "encoder": encoder, "left_out": hidden_count(dataset)}
    try:
        vector = _direction(dataset, encoder, user, wait, text, like, examples)
    except _NotReadyError as error:
        return Search(total, **facts, **error.facts)
    images = filter_images(dataset, head, {name: value for name, value in asked.items() if name != "sort"})
    images = images.filter(~unshown_condition(dataset))
    known = [image.pk for image in examples.images]
    if like is not None and not text:
        known.append(like.pk)
    if known:
        images = images.exclude(pk__in=known)
    try:
        nearest = vectors.nearest_images(encoder=encoder, vector=vector, images=images, limit=limit)
    except vectors.SearchTooSlowError:
        return Search(total, **facts, code="too_slow")
    unindexed = not by_detail and searched > index.EXACT_UP_TO and not index.is_searchable(encoder)
    return Search(total, **facts, hits=nearest.hits, exact=nearest.exact, unindexed=unindexed)


def _direction(
    dataset: Dataset,
    encoder: Encoder,
    user: User,
    wait: float,
    text: str,
    like: Image | None,
    examples: Examples,
) -> NDArray[np.floating]:
    """Return the vector to search by.

    Without examples it is the vector of the text or image. Otherwise it is the sum of the mean directions of
    texts and of images, minus NEGATIVE_WEIGHT times those of the negative examples
    (docs/explanation/search.md). Raises _NotReadyError if a vector does not exist or must not be used.
    """
    shown = [like] if like is not None and not text else []
    if unshown_ids(dataset, [image.pk for image in (*shown, *examples.images)]):
        raise _NotReadyError(code="blind")
    texts = [_text_vector(encoder, user, wait, text)] if text else []
    wanted = [_image_vector(encoder, image) for image in (*shown, *examples.more)]
    unwanted = [_image_vector(encoder, image) for image in examples.less]
    unwanted_texts = [_text_vector(encoder, user, wait, examples.less_text)] if examples.less_text else []
    if len(texts) + len(wanted) == 1 and not unwanted and not unwanted_texts:
        return (texts or wanted)[0]
    # Texts and images lie in separate cones, so each group is averaged by itself.
    positive = _unit(texts) + _unit(wanted)
    combined = positive - NEGATIVE_WEIGHT * (_unit(unwanted) + _unit(unwanted_texts))
    return np.asarray(_unit([combined]))


def _text_vector(encoder: Encoder, user: User, wait: float, text: str) -> NDArray[np.floating]:
    answer = vectors.find_text_vector(encoder=encoder, text=text, user=user, wait=wait)
    if answer.waiting:
        raise _NotReadyError(waiting=True)
    if answer.problem or answer.vector is None:
        raise _NotReadyError(code=answer.problem, sentence=answer.sentence())
    return np.asarray(answer.vector, np.float32)


def _image_vector(encoder: Encoder, image: Image) -> NDArray[np.floating]:
    vector = vectors.vector_of(encoder, image)
    if vector is None:
        is_detail = encoder.kind == Encoder.Kind.DETAIL
        raise _NotReadyError(code="detail_missing" if is_detail else "not_embedded")
    return np.asarray(vector, np.float32)


def _unit(group: list[NDArray[np.floating]]) -> Any:
    """Return the mean direction of a group as a unit vector, or 0 for no vector."""
    if not group:
        return 0.0
    mean = np.mean(group, axis=0)
    length = float(np.linalg.norm(mean))
    return mean / length if length > 0 else mean
