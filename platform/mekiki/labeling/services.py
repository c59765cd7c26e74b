"""The acts on labels and prompts. Each act is one transaction under a lock of the dataset's row."""

import hashlib
import json
from collections.abc import Collection
from typing import Any, NotRequired, TypedDict

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.audit.services import record
from mekiki.config import clock
from mekiki.datasets.models import Dataset
from mekiki.jobs.models import Kind
from mekiki.jobs.services import enqueue
from mekiki.labeling.effects import after_restoring, answered, effects_of, refuse_unconfirmed
from mekiki.labeling.keys import assign_positions
from mekiki.labeling.models import Label, Prompt, PromptSet
from mekiki.labeling.selectors import (
    active_labels,
    archived_by_name,
    can_predict,
    current_prompt_set,
    last_position,
    last_prompts,
    prompts_of,
)
from mekiki.labeling.text import (
    DEFAULT_TEMPLATE,
    MAX_LABELS,
    checked_guideline,
    checked_name,
    checked_prompts,
    refuse_duplicates,
    same,
)


class LabelSpec(TypedDict):
    """A label as a person wrote it. `id` names an existing label, so that it can be renamed."""

    name: str
    prompts: list[str]
    critical: NotRequired[bool]
    guideline: NotRequired[str]
    id: NotRequired[int | None]
    position: NotRequired[int | None]  # its key; if missing, a label keeps its key and a new label comes last


def _lock(dataset: Dataset) -> None:
    """Lock the dataset's row, so that only one change of the schema runs at a time.

    The lock is FOR NO KEY UPDATE, because decisions refer to the dataset and must not wait.
    """
    Dataset.objects.select_for_update(no_key=True).only("pk").get(pk=dataset.pk)


@transaction.atomic
def add_label(
    *, dataset: Dataset, name: str, user: User, critical: bool = False, guideline: str = ""
) -> Label:
    """Add a label at the end of the schema; return it.

    The label is predicted once it has a prompt (save_prompts). If an archived label has this name, that label
    is restored with its answers. Raises PermissionDenied unless the user is an admin of the dataset. Raises
    ValidationError if the name is empty, too long or in use, or if there are too many labels.
    """
    require_role(user, dataset, Role.ADMIN)
    _lock(dataset)
    name = checked_name(name)
    present = list(active_labels(dataset).values_list("name", flat=True))
    refuse_duplicates([*present, name])
    _refuse_too_many(len(present) + 1)
    guideline = checked_guideline(guideline, name)
    archived = archived_by_name(dataset).get(same(name))
    if archived is None:
        return _create(dataset, name, critical, guideline, user)
    taken = set(active_labels(dataset).values_list("position", flat=True))
    _restore(
        archived, user, archived.position if archived.position not in taken else last_position(dataset) + 1
    )
    return _change(
        archived, user, name=name, critical=critical or archived.critical, guideline=guideline or None
    )


@transaction.atomic
def update_label(
    *,
    label: Label,
    user: User,
    name: str | None = None,
    critical: bool | None = None,
    guideline: str | None = None,
) -> Label:
    """Change a label's name, criticality or guideline; None keeps the present value.

    Raises the errors of add_label, and ValidationError if the name belongs to an archived label with answers.
    """
    require_role(user, label.dataset, Role.ADMIN)
    _lock(label.dataset)
    label.refresh_from_db()
    if name is not None:
        name = checked_name(name)
        others = active_labels(label.dataset).exclude(pk=label.pk).values_list("name", flat=True)
        refuse_duplicates([*others, name])
        if same(name) != same(label.name):
            _refuse_answered_names([name], label.dataset)
    if guideline is not None:
        guideline = checked_guideline(guideline, name or label.name)
    return _change(label, user, name=name, critical=critical, guideline=guideline)


@transaction.atomic
def archive_label(*, label: Label, user: User, confirmed: bool = False) -> None:
    """Archive a label. Decisions with it stay, but it is no longer predicted.

    The other labels keep their keys. Raises PermissionDenied unless the user is an admin of the dataset.
    Raises ValidationError if it is the last label. Raises ValidationError with the code confirm_archiving if
    the label has effects (labeling.effects) and `confirmed` is not set. The text names the effects.
    """
    require_role(user, label.dataset, Role.ADMIN)
    _lock(label.dataset)
    label.refresh_from_db()
    if label.archived_at is not None:
        return
    if active_labels(label.dataset).count() == 1:
        raise ValidationError(_("A dataset keeps at least one label."), code="no_labels")
    prompts = prompts_of(current_prompt_set(label.dataset))
    refuse_unconfirmed([label], prompts, {label.pk} if confirmed else set())
    _archive(label, user)
    _predict(label.dataset, user)


@transaction.atomic
def restore_label(*, label: Label, user: User) -> Label:
    """Restore an archived label with its answers and prompts, and with its key if the key is free.

    Raises PermissionDenied unless the user is an admin of the dataset. Raises ValidationError if an active
    label has its name, or if there are too many labels.
    """
    dataset = label.dataset
    require_role(user, dataset, Role.ADMIN)
    _lock(dataset)
    label.refresh_from_db()
    if label.archived_at is None:
        return label
    present = list(active_labels(dataset))
    refuse_duplicates([*(other.name for other in present), label.name])
    _refuse_too_many(len(present) + 1)
    taken = {other.position for other in present}
    _restore(label, user, label.position if label.position not in taken else last_position(dataset) + 1)
    texts = prompts_of(current_prompt_set(dataset))
    texts = {other.pk: texts[other.pk] for other in present if other.pk in texts}
    if len(texts) == len(present):
        texts[label.pk] = last_prompts(label) or [DEFAULT_TEMPLATE.format(label=label.name)]
        _freeze(dataset, texts, user)
        _predict(dataset, user)
    return label


@transaction.atomic
def save_prompts(*, dataset: Dataset, prompts: dict[int, list[str]], user: User) -> PromptSet:
    """Freeze the prompts of all active labels as the next version, and start a prediction with them.

    `prompts` maps a label id to sentences. A label that is not in it keeps its prompts. Without a change
    there is no new version. Raises PermissionDenied unless the user is an admin of the dataset. Raises
    ValidationError if there are no labels, a label has no prompt, a prompt is too long, there are too many
    prompts, or a label is not of this dataset.
    """
    require_role(user, dataset, Role.ADMIN)
    _lock(dataset)
    labels = list(active_labels(dataset))
    if not labels:
        raise ValidationError(
            _("This dataset has no labels yet. Write at least one label first."), code="no_labels"
        )
    unknown = set(prompts) - {label.pk for label in labels}
    if unknown:
        raise ValidationError(
            _("A prompt was sent for a label that is not in this dataset."), code="unknown_label"
        )
    before = prompts_of(current_prompt_set(dataset))
    texts = {
        label.pk: checked_prompts(prompts.get(label.pk, before.get(label.pk, [])), label.name)
        for label in labels
    }
    prompt_set = _freeze(dataset, texts, user)
    _predict(dataset, user)
    return prompt_set


@transaction.atomic
def set_schema(
    *, dataset: Dataset, labels: list[LabelSpec], user: User, confirmed: Collection[int] = ()
) -> PromptSet:
    """Replace the dataset's labels and prompts by these, and start a prediction with them.

    A label is recognised by its id, else by its name. If an archived label has that name, it is restored with
    its answers. Labels that are not listed are archived. For labels with effects, this requires their ids in
    `confirmed` (else ValidationError, see archive_label). Labels keep their keys unless the order of the list
    or a written position changes them (`keys.assign_positions`). A ValidationError changes nothing. Its
    causes are those of add_label and save_prompts, and an empty list of labels. Raises PermissionDenied
    unless the user is an admin of the dataset.
    """
    require_role(user, dataset, Role.ADMIN)
    _lock(dataset)
    if not labels:
        raise ValidationError(
            _("Write at least one label. Reviewers and the model choose among the labels."), code="no_labels"
        )
    _refuse_too_many(len(labels))
    specs: list[dict[str, Any]] = [
        {
            "name": (name := checked_name(spec["name"])),
            "prompts": checked_prompts(spec["prompts"], name),
            "guideline": checked_guideline(spec.get("guideline", ""), name),
            "critical": bool(spec.get("critical", False)),
            "id": spec.get("id"),
            "position": spec.get("position"),
        }
        for spec in labels
    ]
    refuse_duplicates([spec["name"] for spec in specs])

    present = {label.pk: label for label in active_labels(dataset)}
    listed = {spec["id"] for spec in specs if spec["id"]}
    if not listed <= set(present):
        raise ValidationError(
            _("The labels were changed in the meantime. Load the page again, then make your change."),
            code="unknown_label",
        )
    by_name = {same(label.name): label for label in present.values() if label.pk not in listed}
    for spec in specs:
        spec["label"] = present[spec["id"]] if spec["id"] else by_name.get(same(spec["name"]))
        spec["own"] = spec["label"].position if spec["label"] else None
    kept = {spec["label"].pk for spec in specs if spec["label"] is not None}
    removed = [label for label in present.values() if label.pk not in kept]
    refuse_unconfirmed(removed, prompts_of(current_prompt_set(dataset)), confirmed)
    for label in removed:
        _archive(label, user)
    _refuse_answered_names(
        [s["name"] for s in specs if s["label"] and same(s["name"]) != same(s["label"].name)], dataset
    )
    _take_back_archived(specs, archived_by_name(dataset))
    positions = assign_positions(
        [(spec["position"], spec["own"]) for spec in specs],
        last_position(dataset),
    )
    # Labels may exchange names. Temporary names avoid a conflict with the unique constraint.
    for spec in specs:
        label = spec["label"]
        if label is not None and label.name != spec["name"]:
            Label.objects.filter(pk=label.pk).update(name=f"\u2060{label.pk}")
    texts: dict[int, list[str]] = {}
    for position, spec in zip(positions, specs, strict=True):
        label = spec["label"]
        if label is None:
            label = _create(dataset, spec["name"], spec["critical"], spec["guideline"], user)
        elif label.archived_at is not None:
            _restore(label, user, position)
        _change(
            label,
            user,
            name=spec["name"],
            critical=spec["critical"],
            guideline=spec["guideline"],
            position=position,
        )
        texts[label.pk] = spec["prompts"]
    prompt_set = _freeze(dataset, texts, user)
    _predict(dataset, user)
    return prompt_set


def _take_back_archived(specs: list[dict[str, Any]], archived: dict[str, Label]) -> None:
    """Assign archived labels of the same name to specs without a label, with their keys if these are free.

    The label stays critical, and keeps its guideline unless a new one is written, because the user who adds
    the name again may not know the archived label.
    """
    for spec in specs:
        label = archived.get(same(spec["name"])) if spec["label"] is None and not spec["id"] else None
        if label is None:
            continue
        if label.position not in {s["position"] or s["own"] for s in specs if s is not spec}:
            spec["position"] = label.position
        spec["label"] = label
        spec["critical"] = spec["critical"] or label.critical
        spec["guideline"] = spec["guideline"] or label.guideline


def _refuse_answered_names(names: list[str], dataset: Dataset) -> None:
    """Raise ValidationError if a name belongs to an archived label with answers.

    Otherwise people could not distinguish two labels with the same name.
    """
    archived = archived_by_name(dataset)
    wanted = [archived[same(name)] for name in names if same(name) in archived]
    holding = answered(wanted)
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


def _refuse_too_many(count: int) -> None:
    if count > MAX_LABELS:
        raise ValidationError(
            _("A dataset has at most %(most)d labels; these are %(count)d.")
            % {"most": MAX_LABELS, "count": count},
            code="too_many_labels",
        )


def _name_author(user: User) -> None:
    """Set the author of guideline versions for this transaction (labeling.triggers)."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('mekiki.user', %s, true)", [str(user.pk)])


def _create(dataset: Dataset, name: str, critical: bool, guideline: str, user: User) -> Label:
    _name_author(user)
    label = Label.objects.create(
        dataset=dataset,
        name=name,
        critical=critical,
        critical_since=clock.now() if critical else None,
        guideline=guideline,
        position=last_position(dataset) + 1,
    )
    record(
        kind="label.added",
        actor=user,
        dataset=dataset,
        target=label,
        data={"name": name, "critical": critical} | ({"guideline": guideline} if guideline else {}),
    )
    return label


def _change(label: Label, user: User, **fields: Any) -> Label:
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
    if "guideline" in changed:
        _name_author(user)
    label.save(update_fields=[*changed, *moments])
    record(
        kind="label.changed",
        actor=user,
        dataset=label.dataset,
        target=label,
        data={"name": label.name, "from": was, "to": changed},
    )
    return label


def _archive(label: Label, user: User) -> None:
    label.archived_at = clock.now()
    label.save(update_fields=["archived_at"])
    record(kind="label.archived", actor=user, dataset=label.dataset, target=label, data=_held_by(label))


def _restore(label: Label, user: User, position: int) -> None:
    label.archived_at = None
    label.position = position
    label.save(update_fields=["archived_at", "position"])
    after_restoring(label)
    record(kind="label.restored", actor=user, dataset=label.dataset, target=label, data=_held_by(label))


def _held_by(label: Label) -> dict[str, Any]:
    held = effects_of([label])[0]
    return {"name": label.name, "answers": held.answers, "audited": held.audited}


def prompts_digest(texts: dict[int, list[str]]) -> str:
    """Return the SHA-256 of the canonical JSON of label id → prompts.

    Ids are ascending, prompts are in order, and the text is UTF-8.
    """
    canonical = json.dumps(
        [[label_id, texts[label_id]] for label_id in sorted(texts)], ensure_ascii=False, separators=(",", ":")
    )
    return hashlib.sha256(canonical.encode()).hexdigest()


def _freeze(dataset: Dataset, texts: dict[int, list[str]], user: User) -> PromptSet:
    digest = prompts_digest(texts)
    current = current_prompt_set(dataset)
    if current is not None and current.digest == digest:
        return current
    prompt_set = PromptSet.objects.create(
        dataset=dataset,
        version=(current.version if current else 0) + 1,
        digest=digest,
        created_by=user,
    )
    Prompt.objects.bulk_create(
        Prompt(prompt_set=prompt_set, label_id=label_id, text=text, position=position)
        for label_id, sentences in texts.items()
        for position, text in enumerate(sentences, start=1)
    )
    record(
        kind="prompts.saved",
        actor=user,
        dataset=dataset,
        target=prompt_set,
        data={"version": prompt_set.version, "digest": digest, "prompts": sum(map(len, texts.values()))},
    )
    return prompt_set


def _predict(dataset: Dataset, user: User) -> None:
    if can_predict(dataset):
        enqueue(kind=Kind.PREDICT, dataset=dataset, user=user)
