"""The acts that merge two labels and that split a label. Decisions stay as they are.

Nobody has judged the images of the old label by the new labels. So their answers stay on record under the
archived label, and the images are reviewed again, as after archiving.
"""

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.audit.services import record
from mekiki.labeling.effects import effects_of, refuse_unconfirmed
from mekiki.labeling.models import Label
from mekiki.labeling.selectors import active_labels, current_prompt_set, prompts_of
from mekiki.labeling.services.label_rows import (
    create_label,
    lock_schema,
    refuse_names_of_archived_labels,
    refuse_too_many,
    store_archiving,
    store_schema_version,
)
from mekiki.labeling.services.prompts import create_prompt_set, enqueue_prediction
from mekiki.labeling.text import DEFAULT_TEMPLATE, MAX_PROMPTS, checked_name, refuse_duplicates


@transaction.atomic
def merge_label(*, label: Label, into: Label, user: User, confirmed: bool = False) -> Label:
    """Archive a label in favour of another one, which gets its prompts too; return the other label.

    Raises PermissionDenied unless the user is an admin of the dataset. Raises ValidationError if a label is
    archived or of another dataset, or, with the code confirm_archiving, if the label has effects and
    `confirmed` is not set.
    """
    dataset = label.dataset
    require_role(user, dataset, Role.ADMIN)
    lock_schema(dataset)
    present = {one.pk: one for one in active_labels(dataset)}
    if label.pk == into.pk or not {label.pk, into.pk} <= set(present):
        raise ValidationError(
            _("Choose two different labels that are in use. Nothing was changed."), code="unknown_label"
        )
    texts = prompts_of(current_prompt_set(dataset))
    refuse_unconfirmed([label], texts, {label.pk} if confirmed else set())
    held = effects_of([label])[0]
    store_archiving(label, user)
    record(
        kind="label.merged",
        actor=user,
        dataset=dataset,
        target=label,
        data={"name": label.name, "into": into.name, "answers": held.answers, "audited": held.audited},
    )
    store_schema_version(dataset, user)
    joined = list(dict.fromkeys([*texts.get(into.pk, []), *texts.get(label.pk, [])]))[:MAX_PROMPTS]
    kept = {pk: texts[pk] for pk in present if pk in texts and pk != label.pk} | {into.pk: joined}
    if joined:
        create_prompt_set(dataset, kept, user)
    enqueue_prediction(dataset, user)
    return present[into.pk]


@transaction.atomic
def split_label(*, label: Label, names: list[str], user: User, confirmed: bool = False) -> list[Label]:
    """Archive a label and add labels in its place; return them.

    Every new label begins with the default prompt of its name. Raises the errors of merge_label, and
    ValidationError if there are fewer than two names, or if a name is in use.
    """
    dataset = label.dataset
    require_role(user, dataset, Role.ADMIN)
    lock_schema(dataset)
    present = {one.pk: one for one in active_labels(dataset)}
    if label.pk not in present:
        raise ValidationError(
            _("The labels were changed in the meantime. Load the page again, then make your change."),
            code="unknown_label",
        )
    wanted = [checked_name(name) for name in names]
    if len(wanted) < 2:
        raise ValidationError(
            _("Write at least two names, one per line. Nothing was changed."), code="too_few_names"
        )
    others = [one.name for one in present.values()]
    refuse_duplicates([*others, *wanted])
    refuse_names_of_archived_labels(wanted, dataset)
    refuse_too_many(len(present) - 1 + len(wanted))
    texts = prompts_of(current_prompt_set(dataset))
    refuse_unconfirmed([label], texts, {label.pk} if confirmed else set())
    held = effects_of([label])[0]
    made = [create_label(dataset, name, label.critical, "", user) for name in wanted]
    store_archiving(label, user)
    record(
        kind="label.split",
        actor=user,
        dataset=dataset,
        target=label,
        data={"name": label.name, "into": wanted, "answers": held.answers, "audited": held.audited},
    )
    store_schema_version(dataset, user)
    kept = {pk: texts[pk] for pk in present if pk in texts and pk != label.pk}
    create_prompt_set(
        dataset, kept | {one.pk: [DEFAULT_TEMPLATE.format(label=one.name)] for one in made}, user
    )
    enqueue_prediction(dataset, user)
    return made
