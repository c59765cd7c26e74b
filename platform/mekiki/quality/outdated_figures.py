"""Whether the stored share of right labels of all images is older than what it is about."""

from collections.abc import Iterable

from django.db.models import Exists, OuterRef
from django.utils.translation import gettext as _

from mekiki.jobs.models import Job, State
from mekiki.learning.models import Champion, Evaluation
from mekiki.quality.models import Certificate
from mekiki.review.models import Decision
from mekiki.review.services.queue import FILLING


def outdated_figures(dataset_ids: Iterable[int]) -> set[int]:
    """Return the datasets whose certified labels were revoked since the figures were computed, in one query.

    The jobs that fill the queue compute the figures. The revocation has requested such a job.
    """
    computed = Job.objects.filter(
        dataset=OuterRef("dataset"),
        kind__in=FILLING,
        state=State.SUCCEEDED,
        started_at__gte=OuterRef("stopped_at"),
    )
    revoked = Certificate.objects.filter(
        ~Exists(computed),
        dataset__in=list(dataset_ids),
        state=Certificate.State.REVOKED,
        accepted_at__isnull=False,
    )
    return set(revoked.order_by().values_list("dataset_id", flat=True))


def revocation_sentence() -> str:
    """Return the remark on a figure that still counts revoked labels."""
    return _(
        "A certificate was revoked after this share was computed. It is being computed again without the "
        "revoked labels."
    )


def remark_on_age(evaluation: Evaluation) -> str:
    """Return why the figure that is stored with an estimate is not up to date, or an empty text.

    Only the figures of the head in use are computed again.
    """
    dataset = evaluation.head.dataset_id
    if dataset in outdated_figures([dataset]):
        in_use = Champion.objects.filter(head=evaluation.head_id).exists()
        return revocation_sentence() if in_use else ""
    jobs = Job.objects.filter(dataset=dataset, kind__in=FILLING, state=State.SUCCEEDED)
    computed = jobs.order_by("-number").values_list("started_at", flat=True).first()
    newest = (
        Decision.objects.filter(dataset=dataset).order_by("-id").values_list("created_at", flat=True).first()
    )
    if computed is None or newest is None or newest <= computed:
        return ""
    if not Champion.objects.filter(head=evaluation.head_id).exists():
        return ""
    return _("Answers and undone answers since the last computation are not counted in this share yet.")
