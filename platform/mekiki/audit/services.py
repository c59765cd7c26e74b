"""The function that records events. It is the only way to write an event."""

from typing import Any

from django.db import models

from mekiki.audit.models import Event


def record(
    *,
    kind: str,
    actor: Any = None,
    dataset: Any = None,
    target: models.Model | None = None,
    data: dict[str, Any] | None = None,
    object_id: str = "",
) -> Event:
    """Append one event in the caller's transaction, so that the act and its event are stored together.

    `kind` is "object.verb" in the past tense ("dataset.created"). `actor` is the user, or None for the
    platform itself. `data` holds JSON-serialisable details. `object_id` identifies the object if it is no
    row.
    """
    return Event.objects.create(
        kind=kind,
        actor_id=getattr(actor, "pk", None),
        actor_name=actor.get_username() if getattr(actor, "pk", None) else "",
        dataset_id=getattr(dataset, "pk", None),
        object_type=target._meta.model_name or "" if target is not None else "",
        object_id=str(target.pk) if target is not None else object_id,
        data=data or {},
    )
