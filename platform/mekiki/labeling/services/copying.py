"""The labels and prompts of another dataset as the beginning of a new one."""

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.audit.services import record
from mekiki.datasets.models import Dataset
from mekiki.labeling.models import PromptSet
from mekiki.labeling.selectors import active_labels, current_prompt_set, prompts_of
from mekiki.labeling.services.schema import LabelSpec, set_schema


@transaction.atomic
def copy_schema(*, dataset: Dataset, source: Dataset, user: User) -> PromptSet:
    """Give a dataset without labels the labels, guidelines and present prompts of another dataset.

    Later changes of either dataset do not change the other. Raises PermissionDenied unless the user is an
    admin of the dataset and a member of the source. Raises ValidationError if the dataset has or had labels,
    or if the source has none.
    """
    require_role(user, dataset, Role.ADMIN)
    require_role(user, source, Role.VIEWER)
    if dataset.labels.exists():
        raise ValidationError(
            _("This dataset has labels already. Nothing was copied; change its labels instead."),
            code="has_labels",
        )
    labels = list(active_labels(source))
    if not labels:
        raise ValidationError(
            _("“%(name)s” has no labels. Nothing was copied; choose another dataset.")
            % {"name": source.name},
            code="no_labels",
        )
    version = current_prompt_set(source)
    prompts = prompts_of(version)
    specs: list[LabelSpec] = [
        {
            "name": label.name,
            "prompts": prompts.get(label.pk, []),
            "critical": label.critical,
            "guideline": label.guideline,
            "is_none": label.is_none,
            "code": label.code,
        }
        for label in labels
    ]
    made = set_schema(dataset=dataset, labels=specs, user=user)
    record(
        kind="schema.copied",
        actor=user,
        dataset=dataset,
        target=made,
        data={"from": source.slug, "labels": len(labels), "prompts": version.version if version else None},
    )
    return made
