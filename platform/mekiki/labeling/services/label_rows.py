"""Parts of the acts on labels: the lock, checks across labels, and the writes of one row with its event."""

import hashlib
import json
from typing import Any

from django.core.exceptions import ValidationError
from django.db import connection
from django.utils.translation import gettext as _

from mekiki.accounts.models import User
from mekiki.audit.services import record
from mekiki.config import clock
from mekiki.datasets.models import Dataset
from mekiki.labeling.effects import effects_of, labels_with_effects, run_restore_hooks, run_schema_hooks
from mekiki.labeling.models import Label, SchemaVersion
from mekiki.labeling.selectors import active_labels, archived_by_name, current_schema, last_position
from mekiki.labeling.text import MAX_LABELS, name_key


def lock_schema(dataset: Dataset) -> None:
    """Lock the dataset's row, so that only one change of the schema runs at a time.

    The lock is FOR NO KEY UPDATE, because decisions refer to the dataset and must not wait.
    """
    Dataset.objects.select_for_update(no_key=True).only("pk").get(pk=dataset.pk)


def refuse_names_of_archived_labels(names: list[str], dataset: Dataset) -> None:
    """Raise ValidationError if a name belongs to an archived label with answers.

    Otherwise people could not distinguish two labels with the same name.
    """
    archived = archived_by_name(dataset)
    wanted = [archived[name_key(name)] for name in names if name_key(name) in archived]
    holding = labels_with_effects(wanted)
    for label in wanted:
        if label.pk in holding:
            raise ValidationError(
                _(
                    "“%(label)s” is the name of an archived label with answers. Nothing was saved. "
                    "Restore that label, or choose another name."
                )
                % {"label": label.name},
                code="archived_name",
            )


def refuse_too_many(count: int) -> None:
    """Raise ValidationError if a dataset must not have this many labels."""
    if count > MAX_LABELS:
        raise ValidationError(
            _("A dataset has at most %(most)d labels; these are %(count)d.")
            % {"most": MAX_LABELS, "count": count},
            code="too_many_labels",
        )


def create_label(
    dataset: Dataset,
    name: str,
    critical: bool,
    guideline: str,
    user: User,
    guideline_texts: dict[str, str] | None = None,
) -> Label:
    """Create a label at the end of the schema, with its event. The caller has checked the values."""
    _set_guideline_author(user)
    label = Label.objects.create(
        dataset=dataset,
        name=name,
        critical=critical,
        critical_since=clock.now() if critical else None,
        guideline=guideline,
        guideline_texts=guideline_texts or {},
        position=last_position(dataset) + 1,
    )
    record(
        kind="label.added",
        actor=user,
        dataset=dataset,
        target=label,
        data={"name": name, "critical": critical}
        | ({"guideline": guideline} if guideline else {})
        | ({"guideline_texts": guideline_texts} if guideline_texts else {}),
    )
    run_schema_hooks(label, "added")
    return label


def change_label(label: Label, user: User, **fields: Any) -> Label:
    """Set the fields that differ, and record one event with the old and new values. None keeps a value."""
    changed = {k: v for k, v in fields.items() if v is not None and getattr(label, k) != v}
    if not changed:
        return label
    was = {k: getattr(label, k) for k in changed}
    for k, v in changed.items():
        setattr(label, k, v)
    moments = {}
    if "critical" in changed:
        moments = {"critical_since" if label.critical else "critical_until": clock.now()}
        for k, moment in moments.items():
            setattr(label, k, moment)
    if {"guideline", "guideline_texts"} & set(changed):
        _set_guideline_author(user)
    label.save(update_fields=[*changed, *moments])
    record(
        kind="label.changed",
        actor=user,
        dataset=label.dataset,
        target=label,
        data={"name": label.name, "from": was, "to": changed},
    )
    if changed.get("critical"):
        run_schema_hooks(label, "critical")
    return label


def store_archiving(label: Label, user: User) -> None:
    """Archive a label, with its event."""
    label.archived_at = clock.now()
    label.save(update_fields=["archived_at"])
    record(
        kind="label.archived",
        actor=user,
        dataset=label.dataset,
        target=label,
        data=_archiving_event_data(label),
    )
    run_schema_hooks(label, "archived")


def store_restoring(label: Label, user: User, position: int) -> None:
    """Restore a label at this position, with its event."""
    label.archived_at = None
    label.position = position
    # Another label may stand for “none of these” by now, and at most one does.
    others = Label.objects.filter(dataset=label.dataset_id, archived_at__isnull=True, is_none=True)
    label.is_none = label.is_none and not others.exists()
    # Another label may have the short code by now.
    active = Label.objects.filter(dataset=label.dataset_id, archived_at__isnull=True)
    if any(
        name_key(label.code) in (name_key(name), name_key(code))
        for name, code in active.values_list("name", "code")
    ):
        label.code = ""
    label.save(update_fields=["archived_at", "position", "is_none", "code"])
    run_restore_hooks(label)
    run_schema_hooks(label, "restored")
    record(
        kind="label.restored",
        actor=user,
        dataset=label.dataset,
        target=label,
        data=_archiving_event_data(label),
    )


def store_schema_version(dataset: Dataset, user: User) -> SchemaVersion:
    """Return the version of the labels as they are now. It is a new one if they changed."""
    fields = ("id", "name", "code", "position", "critical", "is_none")
    labels = list(active_labels(dataset).values(*fields))
    canonical = json.dumps(labels, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    last = current_schema(dataset)
    if last is not None and last.digest == digest:
        return last
    return SchemaVersion.objects.create(
        dataset=dataset,
        version=(last.version if last is not None else 0) + 1,
        digest=digest,
        labels=labels,
        created_by=user,
    )


def _archiving_event_data(label: Label) -> dict[str, Any]:
    held = effects_of([label])[0]
    return {"name": label.name, "answers": held.answers, "audited": held.audited}


def _set_guideline_author(user: User) -> None:
    """Set the author of guideline versions for this transaction (labeling.triggers)."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('mekiki.user', %s, true)", [str(user.pk)])
