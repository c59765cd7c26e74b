"""Search of images by text or by image, and the facets of the gallery, for programs."""

from typing import Annotated, Any, Literal

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext
from ninja import Field, Query, Router, Schema

from mekiki.accounts.http import user_of
from mekiki.api.errors import ErrorOut
from mekiki.datasets.access import dataset_for, image_for
from mekiki.datasets.models import Dataset, Image
from mekiki.labeling.selectors import active_labels
from mekiki.learning.search import MAX_HITS, Problem
from mekiki.learning.selectors import champion
from mekiki.review.blinding import set_shown_attributes
from mekiki.review.errors import InvalidAnswerError, ReviewError
from mekiki.review.facets import Facets, facets_of
from mekiki.review.finding import FilterForm
from mekiki.review.metadata_filters import is_range, ranges_as_filters
from mekiki.review.searching import MOST_EXAMPLES, Examples, search

router = Router(tags=["images"])

ERRORS = dict.fromkeys((401, 404, 409, 422, 503), ErrorOut)
# Problems of the text (status 422), and problems that may pass (status 503). All others: 409.
BAD_TEXT = (Problem.EMPTY, Problem.LONG, Problem.TOO_LONG)
RETRYABLE_PROBLEMS = (Problem.NOT_LOADED, Problem.BUSY, Problem.NO_WORKER, Problem.NOT_SENT, "too_slow")
SEARCH_TIMEOUT = 1.5


class ServiceUnavailableError(ReviewError):
    """The error that a request may succeed a little later (503)."""

    status = 503


class FiltersIn(Schema):
    """The filters of the gallery."""

    label: str = Field("", max_length=20, description="Id of the predicted label.")
    confirmed: str = Field("", max_length=20, description="none, some, or the id of a confirmed label.")
    set_by: str = Field(
        "", max_length=30, description="Who set the label: person, nobody, or certificate-N (N: its number)."
    )
    waiting: str = Field("", max_length=20, description="waiting, or a stream.")
    low: str = Field("", max_length=20, description="Confidence from, in percent.")
    high: str = Field("", max_length=20, description="Confidence to, in percent.")
    reviewer: str = Field(
        "", max_length=20, description="Id of the reviewer who gave the label. Only admins may name others."
    )
    since: str = Field("", max_length=10, description="Imported on this day or later, YYYY-MM-DD.")
    until: str = Field("", max_length=10, description="Imported on this day or earlier, YYYY-MM-DD.")
    batch: str = Field("", max_length=20, description="Number of an import. Only for admins.")
    metadata: list[str] = Field([], max_length=20, description="key=value, several times for several keys")
    range: list[str] = Field(
        [],
        max_length=20,
        description="key=from..to of a number or date field, several times for several keys. Either end may "
        "be empty. key=unfit: texts that are no number or no date.",
    )
    use: str = Field("", max_length=10, description="excluded, or in_use: not excluded.")
    q: str = Field("", max_length=200, description="Part of the name.")


class SearchIn(FiltersIn):
    """What to search for, and the filters of the gallery. \
One of `text` and `like` is needed; `text` goes first. `by=detail` compares the local detail of images with \
that of `like`, without a text and without examples."""

    text: str = Field("", max_length=10_000, description="Any language the encoder reads.")
    like: str = Field("", max_length=64, description="SHA-256 of an image of the dataset.")
    more: list[str] = Field([], max_length=MOST_EXAMPLES, description="SHA-256 of further images like it.")
    less: list[str] = Field([], max_length=MOST_EXAMPLES, description="SHA-256 of images unlike it.")
    less_text: str = Field("", max_length=10_000, description="What the images must not show.")
    by: Literal["embedding", "detail"] = Field("embedding", description="What is compared.")
    limit: int = Field(50, ge=1, le=MAX_HITS)


class HitOut(Schema):
    """One image. `similarity` is a cosine, or minus the distance of two local details: \
it orders, it is no probability."""

    rank: int
    similarity: float
    sha256: str
    name: str
    url: str
    thumb_url: str


class CountOut(Schema):
    """A number of images. `exact` is false for an estimate from a random sample. \
`few`: the sample has too few of them for an estimate, and `n` is 0."""

    n: int
    exact: bool
    few: bool


class FacetValueOut(Schema):
    """One value of a facet. `filters` are the parameters that select it."""

    filters: dict[str, str]
    name: str
    count: CountOut


class FacetRangeOut(Schema):
    """The range of a number or date field. `low` and `high`: the part that is chosen. \
`exact`: `least` and `greatest` are of all images, not of a sample."""

    is_date: bool
    least: str
    greatest: str
    low: str
    high: str
    count: CountOut
    exact: bool


class FacetOut(Schema):
    """A filter with its values. `more`: further values exist. `too_slow`: counting took too long."""

    code: str
    title: str
    values: list[FacetValueOut]
    more: bool
    too_slow: bool
    range: FacetRangeOut | None


class FacetsOut(Schema):
    """The facets within the filters. `histogram`: images in twenty equal ranges of confidence."""

    matches: CountOut
    facets: list[FacetOut]
    histogram: list[CountOut]


class SearchOut(Schema):
    """`waiting`: a worker still reads the text; ask again in a moment. `exact`: every image was looked at."""

    state: Literal["ready", "waiting"]
    hits: list[HitOut]
    exact: bool
    encoder: str
    images: int
    searchable: int
    left_out: int


def _valid_form(query: FiltersIn, dataset: Dataset) -> FilterForm:
    """Return the form with the filters. Raises InvalidAnswerError if one is not valid."""
    given = query.dict()
    given |= ranges_as_filters(given.pop("range"))
    form = FilterForm(given, list(active_labels(dataset)), dataset)
    if unknown := sorted(name for name in given if is_range(name) and name not in form.fields):
        raise InvalidAnswerError(
            "filter",
            gettext("No number or date field has this name: %(name)s.")
            % {"name": unknown[0].partition(".")[2]},
        )
    if not form.is_valid():
        raise InvalidAnswerError(
            "filter", " ".join(str(line) for lines in form.errors.values() for line in lines)
        )
    return form


@router.get(
    "/{slug:slug}/images/facets",
    response={200: FacetsOut, **ERRORS},
    url_name="image-facet-counts",
    summary="Values of the filters of the gallery, with numbers of images",
)
def count_facets(request: HttpRequest, slug: str, query: Annotated[FiltersIn, Query()]) -> Facets:
    """For members of the dataset. A facet counts within all other filters. \
In a large dataset the numbers are estimates, and marked so."""
    dataset = dataset_for(user_of(request), slug)
    return facets_of(dataset, champion(dataset), _valid_form(query, dataset))


@router.get(
    "/{slug:slug}/images/search",
    response={200: SearchOut, **ERRORS},
    url_name="image-search",
    summary="Images by a text or by an image, the most similar first",
)
def search_images(request: HttpRequest, slug: str, query: Annotated[SearchIn, Query()]) -> dict[str, Any]:
    """For members of the dataset. \
Images of the audit reserve that were not judged yet take no part (`left_out`)."""
    user = user_of(request)
    dataset = dataset_for(user, slug)
    form = _valid_form(query, dataset)
    text = query.text.strip()
    like = image_for(user, slug, query.like) if query.like and not text else None
    if not text and like is None:
        raise InvalidAnswerError(Problem.EMPTY, Problem.EMPTY.sentence())
    filters = form.asked
    result = search(
        dataset=dataset,
        head=champion(dataset),
        asked=filters,
        user=user,
        text=text,
        like=like,
        examples=Examples(
            [image_for(user, slug, sha256) for sha256 in query.more],
            [image_for(user, slug, sha256) for sha256 in query.less],
            query.less_text.strip(),
        ),
        by_detail=query.by == "detail",
        wait=SEARCH_TIMEOUT,
        limit=query.limit,
    )
    if result.code:
        kind = (
            InvalidAnswerError
            if result.code in BAD_TEXT
            else ServiceUnavailableError
            if result.code in RETRYABLE_PROBLEMS
            else ReviewError
        )
        raise kind(result.code, result.problem)
    images = Image.objects.in_bulk([pk for pk, _similarity in result.hits])
    set_shown_attributes(dataset, images.values())
    return {
        "state": "waiting" if result.waiting else "ready",
        "hits": [
            {
                "rank": rank,
                "similarity": similarity,
                "sha256": images[pk].sha256,
                "name": images[pk].shown_name,
                "url": reverse("image", args=[slug, images[pk].sha256]),
                "thumb_url": reverse("image-thumb", args=[slug, images[pk].sha256]),
            }
            for rank, (pk, similarity) in enumerate(result.hits, 1)
            if pk in images
        ],
        "exact": result.exact,
        "encoder": result.encoder.name if result.encoder else "",
        "images": result.images,
        "searchable": result.searchable,
        "left_out": result.left_out,
    }
