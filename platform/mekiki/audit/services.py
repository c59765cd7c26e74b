"""Recording what happened. The only way an event is written."""

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
    """Append one event, inside the caller's transaction: an act and its record stand or fall together.

    kind: "object.verb", past tense ("dataset.created"). actor: the user, None for the platform itself.
    data: JSON-serialisable detail. object_id: what it is about, where that is no row.
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
