"""The filters, order and search of the gallery, and the neighbours of an image in that order."""

from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http import HttpRequest

from mekiki.accounts.http import user_of
from mekiki.accounts.models import User
from mekiki.datasets.access import image_for
from mekiki.datasets.models import Dataset, Image
from mekiki.datasets.quotas import dataset_usage
from mekiki.labeling.models import Label
from mekiki.learning.models import Head
from mekiki.review.facets import EXACT_UP_TO
from mekiki.review.finding import FilterForm, filter_images
from mekiki.review.searching import MOST_EXAMPLES, Examples, search
from mekiki.web.gallery.pages import hit_key, images_after_key, page_key


@dataclass(frozen=True)
class GalleryQuery:
    """Filters, order and search of the gallery.

    `query` is the same as the query string of an address; "" without any.
    """

    asked: dict[str, Any]
    kept: dict[str, Any]
    text: str = ""
    like: Image | None = None
    by_detail: bool = False
    examples: Examples = field(default_factory=Examples)

    @classmethod
    def of(cls, request: HttpRequest, dataset: Dataset, labels: list[Label]) -> Self:
        """Read the filters from the address of a request. A field that is not valid is ignored.

        Raises Http404 if `like` is not an image of the dataset.
        """
        form = FilterForm(request.GET, labels, dataset)
        form.is_valid()
        query_parameters = form.kept(request.GET)
        text = request.GET.get("text", "").strip()
        wanted = request.GET.get("like", "")
        like = image_for(user_of(request), dataset.slug, wanted) if wanted and not text else None
        if text or like is not None:
            query_parameters.pop("sort", None)
            query_parameters |= {"text": text} if text else {"like": wanted}
        by_detail = like is not None and is_by_detail(request)
        query_parameters |= {"by": "detail"} if by_detail else {}
        compared = (text or like is not None) and not by_detail
        examples = read_examples(request, dataset) if compared else Examples()
        query_parameters |= parameters_of(examples)
        return cls(form.asked, query_parameters, text, like, by_detail, examples)

    @property
    def query(self) -> str:
        return f"?{urlencode(self.kept, doseq=True)}" if self.kept else ""


def is_by_detail(request: HttpRequest) -> bool:
    """Return whether the address of a request asks for a search by local detail.

    A text that must not apply has no local detail: with one, images are compared by their embeddings.
    """
    return request.GET.get("by") == "detail" and not request.GET.get("less_text", "").strip()


def read_examples(request: HttpRequest, dataset: Dataset) -> Examples:
    """Return the examples of the address of a request. Raises Http404 if one is no image of the dataset."""
    user = user_of(request)

    def images(name: str) -> list[Image]:
        hashes = list(dict.fromkeys(request.GET.getlist(name)))[:MOST_EXAMPLES]
        return [image_for(user, dataset.slug, sha256) for sha256 in hashes]

    return Examples(images("more"), images("less"), request.GET.get("less_text", "").strip())


def parameters_of(examples: Examples) -> dict[str, Any]:
    """Return the parameters of an address that have these examples."""
    return {
        name: value
        for name, value in (
            ("more", [image.sha256 for image in examples.more]),
            ("less", [image.sha256 for image in examples.less]),
            ("less_text", examples.less_text),
        )
        if value
    }


@dataclass(frozen=True)
class Neighbours:
    """The images before and after an image in the gallery, and its position.

    `place` and `total` are None where counting would be slow. `newer_key` is the key of the page that begins
    with the image: that of the image before it, or "" for the first image.
    """

    newer: Image | None = None
    older: Image | None = None
    place: int | None = None
    total: int | None = None
    outside: bool = field(default=False)  # the filter excludes the image
    newer_key: str = ""


def neighbours(
    dataset: Dataset,
    head: Head | None,
    image: Image,
    narrowed: GalleryQuery,
    user: User,
    count_up_to: int = EXACT_UP_TO,
) -> Neighbours:
    """Return the neighbours of an image in the filtered and ordered gallery.

    The position is counted in datasets of at most `count_up_to` images. In a search it is known.
    """
    if narrowed.text or narrowed.like is not None:
        return _in_search(dataset, head, image, narrowed, user)
    count = dataset_usage(dataset)["images"] <= count_up_to
    if not narrowed.asked:
        return _near(Image.objects.filter(dataset=dataset), image, "", count=count)
    images = filter_images(dataset, head, narrowed.asked)
    here = images.filter(pk=image.pk).first()
    if here is None:
        # Its neighbours in the order of import: its prediction may be hidden.
        plain = filter_images(dataset, head, {k: v for k, v in narrowed.asked.items() if k != "sort"})
        near = _near(plain, image, "", count=False)
        return Neighbours(near.newer, near.older, outside=True)
    return _near(images, here, narrowed.asked.get("sort", ""), count=count)


def _near(images: QuerySet[Image], here: Image, sort: str, *, count: bool) -> Neighbours:
    key = page_key(here, sort)
    before, older = (images_after_key(images, sort, key, backwards=backwards) for backwards in (True, False))
    newer = before.first()
    newer_key = page_key(newer, sort) if newer else ""
    if not count:
        return Neighbours(newer, older.first(), newer_key=newer_key)
    return Neighbours(
        newer,
        older.first(),
        place=before.order_by().count() + 1,
        total=images.order_by().count(),
        newer_key=newer_key,
    )


def _in_search(
    dataset: Dataset, head: Head | None, image: Image, narrowed: GalleryQuery, user: User
) -> Neighbours:
    """Return the neighbours of an image among the most similar images.

    A text that led here from its results is embedded already.
    """
    result = search(
        dataset=dataset,
        head=head,
        asked=narrowed.asked,
        user=user,
        text=narrowed.text,
        like=narrowed.like,
        by_detail=narrowed.by_detail,
        examples=narrowed.examples,
    )
    ids = [pk for pk, _similarity in result.hits]
    if image.pk not in ids:
        return Neighbours(outside=True)
    at = ids.index(image.pk)
    beside = Image.objects.in_bulk([ids[i] for i in (at - 1, at + 1) if 0 <= i < len(ids)])
    return Neighbours(
        beside.get(ids[at - 1]) if at else None,
        beside.get(ids[at + 1]) if at + 1 < len(ids) else None,
        place=at + 1,
        total=len(ids),
        newer_key=hit_key(result.hits[at - 1]) if at else "",
    )
