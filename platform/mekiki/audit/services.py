"""The function that records events. It is the only way to write an event."""

from typing import TYPE_CHECKING, Any

from django.db import models

from mekiki.audit.models import Event
from mekiki.config.compiled import insert, insert_all

if TYPE_CHECKING:
    from mekiki.accounts.access import DatasetLike
    from mekiki.accounts.models import User


def record(
    *,
    kind: str,
    actor: "User | None" = None,
    dataset: "DatasetLike | None" = None,
    target: models.Model | None = None,
    data: dict[str, Any] | None = None,
    object_id: str = "",
) -> Event:
    """Append one event in the caller's transaction, so that the act and its event are stored together.

    `kind` is "object.verb" in the past tense ("dataset.created"). `actor` is the user, or None for the
    platform itself. `data` holds JSON-serialisable details. `object_id` identifies the object if it is no
    row.
    """
    return insert(_event(kind, actor, dataset, target, data, object_id))


def record_events(
    *,
    kind: str,
    actor: "User",
    dataset: "DatasetLike",
    targets: list[tuple[models.Model, dict[str, Any]]],
) -> list[Event]:
    """Append one event for each (target, data), as `record` does, with one statement."""
    return insert_all([_event(kind, actor, dataset, target, data, "") for target, data in targets])


def _event(
    kind: str,
    actor: "User | None",
    dataset: "DatasetLike | None",
    target: models.Model | None,
    data: dict[str, Any] | None,
    object_id: str,
) -> Event:
    return Event(
        kind=kind,
        actor_id=actor.pk if actor is not None else None,
        actor_name=actor.get_username() if actor is not None else "",
        dataset_id=dataset.pk if dataset is not None else None,
        object_type=target._meta.model_name or "" if target is not None else "",
        object_id=str(target.pk) if target is not None else object_id,
        data=data or {},
    )
