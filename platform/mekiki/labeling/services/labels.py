"""The acts on one label: add, change, archive and restore it."""

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.datasets.models import Dataset
from mekiki.labeling.effects import refuse_unconfirmed
from mekiki.labeling.models import Label
from mekiki.labeling.selectors import (
    active_labels,
    archived_by_name,
    current_prompt_set,
    last_position,
    last_prompts,
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
    DEFAULT_TEMPLATE,
    checked_code,
    checked_guideline,
    checked_name,
    name_key,
    refuse_ambiguous_codes,
    refuse_duplicates,
    refuse_two_none_of_these,
)


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
    lock_schema(dataset)
    name = checked_name(name)
    present = list(active_labels(dataset).values_list("name", flat=True))
    refuse_duplicates([*present, name])
    refuse_too_many(len(present) + 1)
    guideline = checked_guideline(guideline, name)
    archived = archived_by_name(dataset).get(name_key(name))
    if archived is None:
        made = create_label(dataset, name, critical, guideline, user)
        store_schema_version(dataset, user)
        return made
    taken = set(active_labels(dataset).values_list("position", flat=True))
    store_restoring(
        archived, user, archived.position if archived.position not in taken else last_position(dataset) + 1
    )
    restored = change_label(
        archived, user, name=name, critical=critical or archived.critical, guideline=guideline or None
    )
    store_schema_version(dataset, user)
    return restored


@transaction.atomic
def update_label(
    *,
    label: Label,
    user: User,
    name: str | None = None,
    critical: bool | None = None,
    guideline: str | None = None,
    is_none: bool | None = None,
    code: str | None = None,
) -> Label:
    """Change a label's name, criticality, guideline, code or mark “none of these”; None keeps the value.

    Raises the errors of add_label, and ValidationError if the name belongs to an archived label with answers,
    if another label stands for “none of these”, or if the code does not fit or stands for another label.
    """
    require_role(user, label.dataset, Role.ADMIN)
    lock_schema(label.dataset)
    label.refresh_from_db()
    if name is not None:
        name = checked_name(name)
        others = active_labels(label.dataset).exclude(pk=label.pk).values_list("name", flat=True)
        refuse_duplicates([*others, name])
        if name_key(name) != name_key(label.name):
            refuse_names_of_archived_labels([name], label.dataset)
    if guideline is not None:
        guideline = checked_guideline(guideline, name or label.name)
    if is_none:
        marked = active_labels(label.dataset).filter(is_none=True).exclude(pk=label.pk)
        refuse_two_none_of_these([*marked.values_list("name", flat=True), label.name])
    if code is not None:
        code = checked_code(code, name or label.name)
    if code is not None or name is not None:
        rest = active_labels(label.dataset).exclude(pk=label.pk).values_list("name", "code")
        own = (label.name if name is None else name, label.code if code is None else code)
        refuse_ambiguous_codes([*rest, own])
    changed = change_label(
        label, user, name=name, critical=critical, guideline=guideline, is_none=is_none, code=code
    )
    store_schema_version(label.dataset, user)
    return changed


@transaction.atomic
def archive_label(*, label: Label, user: User, confirmed: bool = False) -> None:
    """Archive a label. Decisions with it stay, but it is no longer predicted.

    The other labels keep their keys. Raises PermissionDenied unless the user is an admin of the dataset.
    Raises ValidationError if it is the last label. Raises ValidationError with the code confirm_archiving if
    the label has effects (labeling.effects) and `confirmed` is not set. The text names the effects.
    """
    require_role(user, label.dataset, Role.ADMIN)
    lock_schema(label.dataset)
    label.refresh_from_db()
    if label.archived_at is not None:
        return
    if active_labels(label.dataset).count() == 1:
        raise ValidationError(_("A dataset keeps at least one label."), code="no_labels")
    prompts = prompts_of(current_prompt_set(label.dataset))
    refuse_unconfirmed([label], prompts, {label.pk} if confirmed else set())
    store_archiving(label, user)
    store_schema_version(label.dataset, user)
    enqueue_prediction(label.dataset, user)


@transaction.atomic
def restore_label(*, label: Label, user: User) -> Label:
    """Restore an archived label with its answers and prompts, and with its key if the key is free.

    Raises PermissionDenied unless the user is an admin of the dataset. Raises ValidationError if an active
    label has its name, or if there are too many labels.
    """
    dataset = label.dataset
    require_role(user, dataset, Role.ADMIN)
    lock_schema(dataset)
    label.refresh_from_db()
    if label.archived_at is None:
        return label
    present = list(active_labels(dataset))
    refuse_duplicates([*(other.name for other in present), label.name])
    refuse_too_many(len(present) + 1)
    taken = {other.position for other in present}
    position = label.position if label.position not in taken else last_position(dataset) + 1
    store_restoring(label, user, position)
    store_schema_version(dataset, user)
    texts = prompts_of(current_prompt_set(dataset))
    texts = {other.pk: texts[other.pk] for other in present if other.pk in texts}
    if len(texts) == len(present):
        texts[label.pk] = last_prompts(label) or [DEFAULT_TEMPLATE.format(label=label.name)]
        create_prompt_set(dataset, texts, user)
        enqueue_prediction(dataset, user)
    return label
