"""Summary figures of datasets: counts along the loop, accuracy and last activity.

The number of queries does not depend on the number of datasets.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Count, Max, OuterRef, QuerySet

from mekiki.accounts.access import includes_role
from mekiki.accounts.models import Membership, Role, User
from mekiki.audit.models import Event
from mekiki.datasets.models import Dataset, Image
from mekiki.exports.models import LabelSet
from mekiki.jobs.models import ACTIVE_STATES, Job
from mekiki.jobs.progress import JobStatus, job_statuses
from mekiki.learning.accuracy import AuditCounts
from mekiki.learning.models import Champion, Evaluation, Head, Prediction
from mekiki.quality.label_sources import LabelSources, certified_counts
from mekiki.quality.outdated_figures import outdated_figures
from mekiki.review.audit_counts import audit_counts_of
from mekiki.review.daily_goals import DailyGoal, own_goals
from mekiki.review.models import ConfirmedLabel, QueueItem

MOSAIC = 6  # images in a card of the home page


@dataclass
class DatasetSummary:
    """The summary figures of one dataset.

    `evaluation` is the newest of the champion; None until one image was audited.
    """

    dataset: Dataset
    role: str
    images: int = 0
    certified: int = 0  # valid labels set by machine under a certificate
    predicted: int = 0
    waiting: int = 0
    confirmed: int = 0
    exported: int = 0
    head_version: int | None = None
    head_kind: str = ""
    evaluation: Evaluation | None = None
    outdated: bool = False  # the share of right labels still counts revoked labels
    # The current counts, to compare with the estimate.
    audit: AuditCounts = field(default_factory=AuditCounts)
    last_activity: datetime | None = None
    jobs: list[JobStatus] = field(default_factory=list)
    goal: DailyGoal | None = None  # of the user
    mosaic: list[Image] = field(default_factory=list)  # a few images, on the home page

    @property
    def head_in_words(self) -> str:
        """Return the label of the kind of the head in use; "" before the first prediction."""
        return str(Head.Kind(self.head_kind).label) if self.head_kind else ""

    @property
    def accuracy(self) -> float | None:
        """Return the champion's accuracy, estimated from the audit stream.

        Return None until one image was audited.
        """
        return self.evaluation.accuracy if self.evaluation is not None else None

    @property
    def may_review(self) -> bool:
        return includes_role(self.role, Role.REVIEWER)

    @property
    def needs_me(self) -> bool:
        """Return whether images wait that a user with this role can review."""
        return self.waiting > 0 and self.may_review

    @property
    def labels(self) -> LabelSources:
        """Return how many images were labelled by people, by machine, or not at all."""
        return LabelSources(self.images, self.confirmed, self.certified)


def _counts(rows: QuerySet[Any], by: str = "dataset_id") -> dict[int, int]:
    """Return the number of rows by dataset id, in one query."""
    return dict(rows.order_by().values_list(by).annotate(n=Count("*")))


def dataset_summaries(datasets: Iterable[Dataset], user: User) -> list[DatasetSummary]:
    """Return the summary of each dataset as the user may see it.

    Datasets that need the user come first, then those with the latest activity.
    """
    by_id = {dataset.pk: dataset for dataset in datasets}
    ids = list(by_id)
    roles = dict(Membership.objects.filter(user=user, dataset__in=ids).values_list("dataset_id", "role"))
    images = _counts(Image.objects.filter(dataset__in=ids))
    waiting = _counts(QueueItem.objects.filter(dataset__in=ids, state=QueueItem.State.WAITING))
    certified = certified_counts(by_id.values())
    confirmed = _counts(ConfirmedLabel.objects.filter(dataset__in=ids))
    sets = LabelSet.objects.filter(dataset__in=ids, state=LabelSet.State.FROZEN)
    exported = {s.dataset_id: s.human_labels + s.machine_labels for s in sets.order_by("version")}
    champions = {
        row[0]: row[1:]
        for row in Champion.objects.filter(dataset__in=ids).values_list(
            "dataset_id", "head__version", "head__kind", "head_id"
        )
    }
    # The head ids are constants, so that the database skips the partitions of all other heads.
    predicted = _counts(
        Prediction.objects.filter(head__in=[row[-1] for row in champions.values()]), "head_id"
    )
    newest = Evaluation.objects.filter(head__champion__dataset__in=ids, n__gt=0)
    evaluations = {
        e.head.dataset_id: e
        for e in newest.select_related("head")
        .defer("head__weights", "report")
        .order_by("head_id", "-id")
        .distinct("head_id")
    }
    audits = audit_counts_of(dataset for pk, dataset in by_id.items() if pk in evaluations)
    outdated = outdated_figures(evaluations)
    activity = dict(
        Event.objects.filter(dataset_id__in=ids).order_by().values_list("dataset_id").annotate(at=Max("at"))
    )
    jobs: dict[int, list[Job]] = {}
    for job in Job.objects.filter(dataset__in=ids, state__in=ACTIVE_STATES):
        if job.dataset_id is not None:
            jobs.setdefault(job.dataset_id, []).append(job)
    goals = own_goals(ids, user)
    result = []
    for pk, dataset in by_id.items():
        role = Role.ADMIN if user.is_superuser else roles.get(pk, Role.VIEWER)
        dataset.role = role
        version, kind, head = champions.get(pk, (None, "", 0))
        result.append(
            DatasetSummary(
                dataset=dataset,
                role=role,
                images=images.get(pk, 0),
                predicted=predicted.get(head, 0),
                waiting=waiting.get(pk, 0),
                confirmed=confirmed.get(pk, 0),
                certified=certified.get(pk, 0),
                exported=exported.get(pk, 0),
                head_version=version,
                head_kind=kind,
                evaluation=evaluations.get(pk),
                outdated=pk in outdated,
                audit=audits.get(pk) or AuditCounts(),
                last_activity=activity.get(pk, dataset.created_at),
                jobs=job_statuses(jobs.get(pk, []), dataset),
                goal=goals.get(pk),
            )
        )
    result.sort(key=lambda s: (not s.needs_me, -(s.last_activity or s.dataset.created_at).timestamp()))
    return result


def add_mosaics(summaries: Iterable[DatasetSummary]) -> None:
    """Give each summary some of its images, in two queries. No label or name is shown with them."""
    by_id = {summary.dataset.pk: summary for summary in summaries if summary.images}
    # In the order of the hashes, which is random but stays the same, by the unique index.
    some = Image.objects.filter(dataset=OuterRef("pk")).order_by("sha256").values("pk")[:MOSAIC]
    ids = Dataset.objects.filter(pk__in=by_id).values_list(ArraySubquery(some), flat=True)
    wanted = [pk for own in ids for pk in own]
    for image in Image.objects.filter(pk__in=wanted).order_by("sha256"):
        by_id[image.dataset_id].mosaic.append(image)
