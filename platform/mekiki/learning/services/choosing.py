"""Promotion of a head by an admin: an earlier head, or a head that training did not promote."""

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.audit.services import record
from mekiki.datasets.models import Dataset
from mekiki.jobs.models import ACTIVE_STATES, Job, Kind
from mekiki.jobs.payloads import PredictPayload
from mekiki.jobs.services import enqueue
from mekiki.labeling.models import Label, PromptSet
from mekiki.labeling.selectors import active_labels
from mekiki.learning.models import Champion, Head
from mekiki.learning.selectors import champion


def promotion_job_key(dataset: Dataset) -> str:
    """Return the key of the job that promotes a chosen head. A dataset has one active job of this kind."""
    return f"use_head:{dataset.pk}"


def promotion_obstacle(dataset: Dataset, head: Head) -> str:
    """Return why the head cannot be promoted, as a sentence, or "" if it can be (or is in use).

    The head must have exactly the active labels as classes. It must use the encoder of the head in use,
    because it cannot classify the vectors of another encoder.
    """
    current = champion(dataset)
    if current is not None and current.encoder_id != head.encoder_id:
        return _(
            "This head was made for the encoder %(its)s; the dataset uses %(now)s now. Retrain to get a head "
            "for it."
        ) % {"its": _named(head), "now": _named(current)}
    wanted = {label.pk: label.name for label in active_labels(dataset)}
    unknown = [name for label_id, name in wanted.items() if label_id not in head.label_ids]
    if unknown:
        return _(
            "This head was created before the label %(names)s was added and cannot predict it. "
            "Retrain to get a new head."
        ) % {"names": _listed(unknown)}
    gone = [label_id for label_id in head.label_ids if label_id not in wanted]
    if gone:
        names = list(Label.objects.filter(pk__in=gone).order_by("pk").values_list("name", flat=True))
        return _(
            "This head would still predict %(names)s, which has been archived since. Retrain to get a head "
            "without it."
        ) % {"names": _listed(names)}
    return ""


def _named(head: Head) -> str:
    return f"{head.encoder.name} ({head.encoder.digest[:8]})"


def _listed(names: list[str]) -> str:
    return ", ".join(_("“%(name)s”") % {"name": name} for name in names[:5]) + (
        " …" if len(names) > 5 else ""
    )


@transaction.atomic
def request_promotion(*, dataset: Dataset, head: Head, user: User) -> Job:
    """Start the promotion of this head and return its job.

    The job first stores all predictions of the head and then switches. Until then the predictions of the head
    in use stay. Raises PermissionDenied if the user is not an admin of the dataset. Raises ValidationError if
    the head is in use, if it cannot be promoted (`promotion_obstacle`), or if another promotion is active.
    """
    require_role(user, dataset, Role.ADMIN)
    Dataset.objects.select_for_update().only("pk").get(pk=dataset.pk)
    if Champion.objects.filter(dataset=dataset, head=head).exists():
        raise ValidationError(_("This head is in use already."))
    if why := promotion_obstacle(dataset, head):
        raise ValidationError(why)
    if Job.objects.filter(key=promotion_job_key(dataset), state__in=ACTIVE_STATES).exists():
        raise ValidationError(
            _("Another head is already being promoted. Wait until that has ended, or stop it.")
        )
    record(
        kind="head.chosen",
        actor=user,
        dataset=dataset,
        target=head,
        data={"version": head.version, "digest": head.digest},
    )
    return enqueue(
        kind=Kind.PREDICT,
        dataset=dataset,
        key=promotion_job_key(dataset),
        payload=PredictPayload(head=head.pk).as_json(),
        user=user,
    )


def is_manual_choice_for(champion: Champion, prompt_set: PromptSet) -> bool:
    """Return whether a person chose the head in use while this prompt set was the current one.

    These prompts then do not replace the head, because the person knew them.
    """
    return champion.reason.get("code") == "by_hand" and champion.reason.get("prompts") == prompt_set.version
