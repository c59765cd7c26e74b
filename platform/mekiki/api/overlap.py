"""The API of the overlap settings, for admins of the dataset."""

from typing import Annotated, Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import ConfigDict, Field

from mekiki.accounts.http import user_of
from mekiki.accounts.models import Role
from mekiki.api.review_schemas import ERRORS
from mekiki.datasets.access import dataset_for
from mekiki.datasets.models import MOST_REVIEWERS, Dataset
from mekiki.datasets.services import update_settings
from mekiki.labeling.selectors import active_labels
from mekiki.review import services
from mekiki.review.errors import InvalidAnswerError
from mekiki.review.models import OVERLAP_STREAMS, StreamOverlap
from mekiki.review.overlap import least_overlap

router = Router(tags=["adjudication"])

Overlap = Annotated[int, Field(ge=1, le=MOST_REVIEWERS, strict=True)]


class OverlapsIn(Schema):
    """What to change. Missing parts stay as they are. A stream with null has the overlap of the dataset."""

    model_config = ConfigDict(extra="forbid")

    overlap: Overlap | None = None
    critical_overlap: Overlap | None = None
    hide_names_from_adjudicators: bool | None = None
    streams: dict[str, Overlap | None] = Field(default_factory=dict, max_length=20)
    labels: dict[Annotated[int, Field(ge=1, lt=2**63)], Overlap] = Field(
        default_factory=dict, max_length=1000
    )


class LabelOverlapOut(Schema):
    """`code`: the short code, or an empty text. `min_overlap`: as it was set. `least`: with the setting for
    critical labels.
    """

    id: int
    name: str
    code: str
    min_overlap: int
    least: int


class OverlapsOut(Schema):
    """How many reviewers decide an image."""

    overlap: int
    critical_overlap: int
    hide_names_from_adjudicators: bool
    streams: dict[str, int | None]
    labels: list[LabelOverlapOut]


@router.get(
    "/{slug:slug}/overlap",
    response={200: OverlapsOut, **ERRORS},
    url_name="overlap",
    summary="How many reviewers decide an image",
)
def overlaps(request: HttpRequest, slug: str) -> dict[str, Any]:
    """Return the overlap of the dataset, its streams and its labels, for admins."""
    return _overlaps(dataset_for(user_of(request), slug, Role.ADMIN))


@router.post(
    "/{slug:slug}/overlap",
    response={200: OverlapsOut, **ERRORS},
    url_name="overlap",
    summary="Change how many reviewers decide an image",
)
def change_overlaps(request: HttpRequest, slug: str, body: OverlapsIn) -> dict[str, Any]:
    """Change the overlap of the dataset, its streams and its labels, for admins."""
    dataset, user = dataset_for(user_of(request), slug, Role.ADMIN), user_of(request)
    names = ("overlap", "critical_overlap", "hide_names_from_adjudicators")
    changes = {name: value for name in names if (value := getattr(body, name)) is not None}
    try:
        with transaction.atomic():
            services.set_overlaps(dataset=dataset, user=user, streams=body.streams, labels=body.labels)
            if changes:
                update_settings(dataset=dataset, user=user, **changes)
    except ValidationError as error:
        raise InvalidAnswerError("overlap", " ".join(error.messages)) from error
    return _overlaps(dataset_for(user, slug, Role.ADMIN))


def _overlaps(dataset: Dataset) -> dict[str, Any]:
    present = dict(StreamOverlap.objects.filter(dataset=dataset).values_list("stream", "overlap"))
    return {
        "overlap": dataset.overlap,
        "critical_overlap": dataset.critical_overlap,
        "hide_names_from_adjudicators": dataset.hide_names_from_adjudicators,
        "streams": {str(stream): present.get(stream) for stream in OVERLAP_STREAMS},
        "labels": [
            {
                "id": label.pk,
                "name": label.name,
                "code": label.code,
                "min_overlap": label.min_overlap,
                "least": least_overlap(dataset, label),
            }
            for label in active_labels(dataset)
        ],
    }
