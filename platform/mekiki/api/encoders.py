"""The encoder of a dataset: show it, prepare another one, switch to it and switch back."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema, Status

from mekiki.accounts.http import user_of
from mekiki.accounts.models import Role
from mekiki.api.errors import ErrorOut
from mekiki.datasets.access import dataset_for
from mekiki.learning import selectors, services
from mekiki.learning.access import change_for, embedded_for
from mekiki.learning.models import Encoder, EncoderChange

router = Router(tags=["encoders"])
_REFUSED = {404: ErrorOut, 403: ErrorOut, 422: ErrorOut}


class EncoderOut(Schema):
    """Weights with their digest; `embedded` counts images of the dataset."""

    id: int
    name: str
    digest: str
    precision: str
    dim: int
    embedded: int


class ChangeOut(Schema):
    """A change of the encoder. `comparison` and `facts` as the encoder's page shows them."""

    id: int
    state: str
    from_name: str
    to_name: str
    from_digest: str | None
    to_digest: str | None
    created_at: datetime
    ready_at: datetime | None
    ended_at: datetime | None
    job: str | None
    error_code: str
    error: str
    facts: dict[str, Any]
    comparison: dict[str, Any]


class EncodersOut(Schema):
    """The encoder of a dataset, those whose embeddings are kept, and the newest changes."""

    name: str
    in_use: EncoderOut | None
    kept: list[EncoderOut]
    changes: list[ChangeOut]


class ChangeIn(Schema):
    """Which encoder to prepare."""

    name: str


class RemovalOut(Schema):
    """The job that removes."""

    job: str


def _encoder(encoder: Encoder, n: int) -> dict[str, Any]:
    fields = ("id", "name", "digest", "precision", "dim")
    return {**{field: getattr(encoder, field) for field in fields}, "embedded": n}


def _change(change: EncoderChange) -> dict[str, Any]:
    fields = (
        "id",
        "state",
        "from_name",
        "to_name",
        "created_at",
        "ready_at",
        "ended_at",
        "error_code",
    )
    facts = dict(change.facts)
    if change.state == EncoderChange.State.READY and change.to_encoder_id is not None:
        # The prompts may have changed since the preparation.
        long = selectors.long_prompts(change.dataset, [change.to_encoder_id])
        facts["long_prompts"] = [prompt.as_json() for prompt in long]
    return {
        **{field: getattr(change, field) for field in (*fields, "comparison")},
        "facts": facts,
        "error": change.error_for_reader,
        "from_digest": change.from_encoder.digest if change.from_encoder else None,
        "to_digest": change.to_encoder.digest if change.to_encoder else None,
        "job": str(change.job_id) if change.job_id else None,
    }


@router.get("/{slug}/encoder", response=EncodersOut, url_name="encoder", summary="The encoder of a dataset")
def encoder(request: HttpRequest, slug: str) -> dict[str, Any]:
    """404 unless the user is a member of the dataset."""
    dataset = dataset_for(user_of(request), slug)
    in_use = selectors.encoder_in_use(dataset)
    rows = {encoder.pk: _encoder(encoder, n) for encoder, n in selectors.embedded_counts(dataset)}
    now = (rows.pop(in_use.pk, None) or _encoder(in_use, 0)) if in_use is not None else None
    return {
        "name": dataset.encoder_name,
        "in_use": now,
        "kept": list(rows.values()),
        "changes": [_change(change) for change in selectors.encoder_changes(dataset)[:10]],
    }


@router.post(
    "/{slug}/encoder/changes",
    response={202: ChangeOut, **_REFUSED},
    url_name="encoder-change",
    summary="Prepare another encoder beside the one in use",
)
def change(request: HttpRequest, slug: str, body: ChangeIn) -> Status[dict[str, Any]]:
    """For admins of the dataset. 422: not a name, not allowed on this machine, or another change is open."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    return Status(
        202, _change(services.request_change(dataset=dataset, name=body.name, user=user_of(request)))
    )


@router.post(
    "/{slug}/encoder/changes/{int:pk}/switch",
    response={202: ChangeOut, **_REFUSED},
    url_name="encoder-switch",
    summary="Switch over to a prepared encoder",
)
def switch(request: HttpRequest, slug: str, pk: int) -> Status[dict[str, Any]]:
    """For admins of the dataset. 422: it is not ready."""
    return Status(
        202,
        _change(
            services.request_switch(change=change_for(user_of(request), slug, pk), user=user_of(request))
        ),
    )


@router.post(
    "/{slug}/encoder/changes/{int:pk}/take-back",
    response={202: ChangeOut, **_REFUSED},
    url_name="encoder-take-back",
    summary="Go back to the encoder before",
)
def take_back(request: HttpRequest, slug: str, pk: int) -> Status[dict[str, Any]]:
    """For admins of the dataset. 422: it did not bring the encoder in use, or the old embeddings are gone."""
    return Status(
        202,
        _change(
            services.request_revert(change=change_for(user_of(request), slug, pk), user=user_of(request))
        ),
    )


@router.post(
    "/{slug}/encoder/changes/{int:pk}/cancel",
    response={202: ChangeOut, **_REFUSED},
    url_name="encoder-cancel",
    summary="Give up a change, or stop the step that is under way",
)
def cancel(request: HttpRequest, slug: str, pk: int) -> Status[dict[str, Any]]:
    """For admins of the dataset. 422: it has ended."""
    return Status(
        202,
        _change(services.cancel_change(change=change_for(user_of(request), slug, pk), user=user_of(request))),
    )


@router.post(
    "/{slug}/encoder/embeddings/{int:encoder_id}/remove",
    response={202: RemovalOut, **_REFUSED},
    url_name="encoder-remove",
    summary="Remove the embeddings by an encoder that is not in use",
)
def remove(request: HttpRequest, slug: str, encoder_id: int) -> Status[dict[str, Any]]:
    """For admins of the dataset. 422: they are needed."""
    dataset, encoder = embedded_for(user_of(request), slug, encoder_id)
    return Status(
        202,
        {"job": str(services.request_removal(dataset=dataset, encoder=encoder, user=user_of(request)).pk)},
    )
