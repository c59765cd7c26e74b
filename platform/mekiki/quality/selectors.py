"""Queries of the quality app: studies with the progress of their reviewers."""

from dataclasses import dataclass

from django.db.models import Count, QuerySet

from mekiki.accounts.access import includes_role
from mekiki.accounts.models import Membership, Role, User
from mekiki.config.keyset import page_by
from mekiki.datasets.models import Dataset
from mekiki.quality.models import (
    CertificateAudit,
    CertificateImage,
    MachineLabel,
    Study,
    StudyAnswer,
    StudyImage,
    StudyReviewer,
)
from mekiki.quality.models.streams import StreamAudit, StreamImage

PAGE_SIZE = 25


def images_of_evidence(ids: list[int]) -> set[int]:
    """Return which of these images have a machine label or belong to a certificate or a study."""
    tables = (CertificateImage, CertificateAudit, MachineLabel, StreamImage, StreamAudit, StudyImage)
    return set().union(
        *(table.objects.filter(image__in=ids).values_list("image_id", flat=True) for table in tables)
    )


@dataclass(frozen=True)
class ReviewerProgress:
    """How many answers a person has given, of how many. `member`: whether the user may still review."""

    name: str
    is_reference: bool
    member: bool
    answered: int
    wanted: int


def possible_reviewers(dataset: Dataset) -> dict[int, str]:
    """Return the names of the users who may review the dataset, by id."""
    rows = Membership.objects.filter(
        dataset=dataset, role__in=[Role.REVIEWER, Role.ADMIN], user__is_active=True
    )
    return dict(rows.order_by("user__username").values_list("user_id", "user__username"))


def studies_for(dataset: Dataset, user: User) -> QuerySet[Study]:
    """Return the studies that the user sees: all for an admin, else those with an invitation."""
    studies = Study.objects.filter(dataset=dataset)
    if includes_role(dataset.role, Role.ADMIN):
        return studies
    invited = StudyReviewer.objects.filter(user=user).values("study")
    return studies.filter(pk__in=invited, started_at__isnull=False)


def study_page(dataset: Dataset, user: User, *, before: int | None = None) -> tuple[list[Study], int | None]:
    """Return a page of the studies, the newest first, and the number where the next page starts."""
    return page_by(studies_for(dataset, user), "number", PAGE_SIZE, after=before, descending=True)


def open_invitations(dataset: Dataset, user: User) -> dict[int, StudyReviewer]:
    """Return the user's invitations to running studies, by the id of the study."""
    rows = StudyReviewer.objects.filter(user=user, study__dataset=dataset, study__state=Study.State.RUNNING)
    return {row.study_id: row for row in rows.select_related("study")}


def reviewer_progress(study: Study) -> list[ReviewerProgress]:
    """Return the progress of everybody who is invited, the reference person last."""
    images = study.images.count()
    counted = StudyAnswer.objects.filter(reviewer__study=study).order_by().values_list("reviewer")
    answered = dict(counted.annotate(n=Count("pk")))
    allowed = possible_reviewers(study.dataset)
    rows = study.reviewers.select_related("user", "study").order_by("is_reference", "pk")
    return [
        ReviewerProgress(
            row.user.get_username(),
            row.is_reference,
            row.user_id in allowed,
            answered.get(row.pk, 0),
            images * row.runs,
        )
        for row in rows
    ]
