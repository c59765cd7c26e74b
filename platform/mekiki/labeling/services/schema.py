"""The act that replaces all labels and prompts of a dataset at once."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import NotRequired, TypedDict

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.datasets.models import Dataset
from mekiki.labeling.effects import refuse_unconfirmed
from mekiki.labeling.keys import assign_positions
from mekiki.labeling.models import Label, PromptSet
from mekiki.labeling.selectors import (
    active_labels,
    archived_by_name,
    current_prompt_set,
    last_position,
    prompts_of,
)
from mekiki.labeling.services.label_rows import (
    change_label,
    create_label,
    lock_schema,
    refuse_names_of_archived_labels,
    refuse_too_many,
    store_archiving,
    store_restoring,
    store_schema_version,
)
from mekiki.labeling.services.prompts import create_prompt_set, enqueue_prediction
from mekiki.labeling.text import (
    checked_code,
    checked_guideline,
    checked_guideline_texts,
    checked_name,
    checked_prompts,
    name_key,
    refuse_ambiguous_codes,
    refuse_duplicates,
    refuse_two_none_of_these,
)


class LabelSpec(TypedDict):
    """A label as a person wrote it. `id` names an existing label, so that it can be renamed."""

    name: str
    prompts: list[str]
    critical: NotRequired[bool]
    guideline: NotRequired[str]
    guideline_texts: NotRequired[dict[str, str]]  # by language; if missing, a label keeps its texts
    is_none: NotRequired[bool]  # if missing, a label keeps its mark
    code: NotRequired[str]  # if missing, a label keeps its short code
    id: NotRequired[int | None]
    position: NotRequired[int | None]  # its key; if missing, a label keeps its key and a new label comes last


@dataclass
class _PlannedLabel:
    """A checked LabelSpec with the label that it changes, or None for a new label."""

    name: str
    prompts: list[str]
    guideline: str
    critical: bool
    id: int | None
    position: int | None
    is_none: bool | None = None
    code: str | None = None
    guideline_texts: dict[str, str] | None = None
    label: Label | None = None
    present_position: int | None = None


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
    lock_schema(dataset)
    if not labels:
        raise ValidationError(
            _("Write at least one label. Reviewers and the model choose among the labels."), code="no_labels"
        )
    refuse_too_many(len(labels))
    planned = [_checked_spec(spec) for spec in labels]
    refuse_duplicates([plan.name for plan in planned])

    present = {label.pk: label for label in active_labels(dataset)}
    listed = {plan.id for plan in planned if plan.id}
    if not listed <= set(present):
        raise ValidationError(
            _("The labels were changed in the meantime. Load the page again, then make your change."),
            code="unknown_label",
        )
    by_name = {name_key(label.name): label for label in present.values() if label.pk not in listed}
    for plan in planned:
        plan.label = present[plan.id] if plan.id else by_name.get(name_key(plan.name))
        plan.present_position = plan.label.position if plan.label else None
        if plan.is_none is None:
            plan.is_none = plan.label is not None and plan.label.is_none
        if plan.code is None:
            plan.code = plan.label.code if plan.label is not None else ""
    refuse_ambiguous_codes([(plan.name, plan.code or "") for plan in planned])
    refuse_two_none_of_these([plan.name for plan in planned if plan.is_none])
    kept = {plan.label.pk for plan in planned if plan.label is not None}
    removed = [label for label in present.values() if label.pk not in kept]
    refuse_unconfirmed(removed, prompts_of(current_prompt_set(dataset)), confirmed)
    for label in removed:
        store_archiving(label, user)
    refuse_names_of_archived_labels(
        [p.name for p in planned if p.label and name_key(p.name) != name_key(p.label.name)], dataset
    )
    _restore_archived_by_name(planned, archived_by_name(dataset))
    positions = assign_positions(
        [(plan.position, plan.present_position) for plan in planned],
        last_position(dataset),
    )
    # Labels may exchange names and codes. Temporary ones avoid a conflict with the unique constraints.
    for plan in planned:
        if plan.label is not None and plan.label.name != plan.name:
            Label.objects.filter(pk=plan.label.pk).update(name=f"\u2060{plan.label.pk}")
        if plan.label is not None and plan.label.code != plan.code:
            Label.objects.filter(pk=plan.label.pk).update(code="")
    texts: dict[int, list[str]] = {}
    # The label “none of these” comes last, so that the mark is removed from one label before another gets it.
    ordered = sorted(zip(positions, planned, strict=True), key=lambda pair: bool(pair[1].is_none))
    for position, plan in ordered:
        label = plan.label or create_label(
            dataset, plan.name, plan.critical, plan.guideline, user, plan.guideline_texts
        )
        if label.archived_at is not None:
            store_restoring(label, user, position)
        change_label(
            label,
            user,
            name=plan.name,
            critical=plan.critical,
            guideline=plan.guideline,
            position=position,
            is_none=plan.is_none,
            code=plan.code,
            guideline_texts=plan.guideline_texts,
        )
        texts[label.pk] = plan.prompts
    store_schema_version(dataset, user)
    prompt_set = create_prompt_set(dataset, texts, user)
    enqueue_prediction(dataset, user)
    return prompt_set


def _checked_spec(spec: LabelSpec) -> _PlannedLabel:
    name = checked_name(spec["name"])
    return _PlannedLabel(
        name=name,
        prompts=checked_prompts(spec["prompts"], name),
        guideline=checked_guideline(spec.get("guideline", ""), name),
        critical=bool(spec.get("critical", False)),
        id=spec.get("id"),
        position=spec.get("position"),
        is_none=spec.get("is_none"),
        code=checked_code(spec["code"], name) if "code" in spec else None,
        guideline_texts=(
            checked_guideline_texts(spec["guideline_texts"], name) if "guideline_texts" in spec else None
        ),
    )


def _restore_archived_by_name(planned: list[_PlannedLabel], archived: dict[str, Label]) -> None:
    """Assign archived labels of the same name to new labels, with their keys if these are free.

    The label stays critical, and keeps its guideline unless a new one is written, because the user who adds
    the name again may not know the archived label.
    """
    for plan in planned:
        label = archived.get(name_key(plan.name)) if plan.label is None and not plan.id else None
        if label is None:
            continue
        others = [other for other in planned if other is not plan]
        if label.position not in {other.position or other.present_position for other in others}:
            plan.position = label.position
        plan.label = label
        plan.critical = plan.critical or label.critical
        plan.guideline = plan.guideline or label.guideline
