"""Image search by text or by image, for programs. It is the search of the gallery."""

from typing import Annotated, Any, Literal

from django.http import HttpRequest
from django.urls import reverse
from ninja import Field, Query, Router, Schema

from mekiki.accounts.http import user_of
from mekiki.api.errors import ErrorOut
from mekiki.datasets.access import dataset_for, image_for
from mekiki.datasets.models import Image
from mekiki.labeling.selectors import active_labels
from mekiki.learning.search import MAX_HITS, Problem
from mekiki.learning.selectors import champion
from mekiki.review.blinding import set_shown_attributes
from mekiki.review.errors import InvalidAnswerError, ReviewError
from mekiki.review.finding import FilterForm
from mekiki.review.searching import search

router = Router(tags=["images"])

ERRORS = dict.fromkeys((401, 404, 409, 422, 503), ErrorOut)
# Problems of the text (status 422), and problems that may pass (status 503). All others: 409.
BAD_TEXT = (Problem.EMPTY, Problem.LONG, Problem.TOO_LONG)
RETRYABLE_PROBLEMS = (Problem.NOT_LOADED, Problem.BUSY, Problem.NO_WORKER, Problem.NOT_SENT, "too_slow")
SEARCH_TIMEOUT = 1.5


class ServiceUnavailableError(ReviewError):
    """The error that a request may succeed a little later (503)."""

    status = 503


class SearchIn(Schema):
    """What to search for, and the filters of the gallery. \
One of `text` and `like` is needed; `text` goes first."""

    text: str = Field("", max_length=10_000, description="Any language the encoder reads.")
    like: str = Field("", max_length=64, description="SHA-256 of an image of the dataset.")
    limit: int = Field(50, ge=1, le=MAX_HITS)
    label: str = Field("", max_length=20, description="Id of the predicted label.")
    confirmed: str = Field("", max_length=20, description="none, some, or the id of a confirmed label.")
    set_by: str = Field(
        "", max_length=30, description="Who set the label: person, nobody, or certificate-N (N: its number)."
    )
    waiting: str = Field("", max_length=20, description="waiting, or a stream.")
    low: str = Field("", max_length=20, description="Confidence from, in percent.")
    high: str = Field("", max_length=20, description="Confidence to, in percent.")
    metadata: str = Field("", max_length=410, description="key=value")
    q: str = Field("", max_length=200, description="Part of the name.")


class HitOut(Schema):
    """One image. `similarity` is a cosine: it orders, it is no probability."""

    rank: int
    similarity: float
    sha256: str
    name: str
    url: str
    thumb_url: str


class SearchOut(Schema):
    """`waiting`: a worker still reads the text; ask again in a moment. `exact`: every image was looked at."""

    state: Literal["ready", "waiting"]
    hits: list[HitOut]
    exact: bool
    encoder: str
    images: int
    searchable: int
    left_out: int


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
    given = query.dict()
    form = FilterForm(given, list(active_labels(dataset)), dataset)
    if not form.is_valid():
        raise InvalidAnswerError(
            "filter", " ".join(str(line) for lines in form.errors.values() for line in lines)
        )
    text = query.text.strip()
    like = image_for(user, slug, query.like) if query.like and not text else None
    if not text and like is None:
        raise InvalidAnswerError(Problem.EMPTY, Problem.EMPTY.sentence())
    filters = {name: value for name, value in form.cleaned_data.items() if value not in ("", None)}
    result = search(
        dataset=dataset,
        head=champion(dataset),
        asked=filters,
        user=user,
        text=text,
        like=like,
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
