"""Access to studies on behalf of a user. Views and the API get a study only from here."""

from django.http import Http404

from mekiki.accounts.models import Role, User
from mekiki.datasets.access import dataset_for
from mekiki.quality.models import Study, StudyReportFile, StudyReviewer


def study_for(user: User, slug: str, number: int) -> Study:
    """Return a study of a dataset by its number, for the admins of the dataset.

    Raises Http404 or PermissionDenied as dataset_for does, and Http404 if there is no such study.
    """
    dataset = dataset_for(user, slug, Role.ADMIN)
    rows = Study.objects.filter(dataset=dataset).select_related("job", "created_by")
    study = rows.filter(number=number).first() if number < 2**31 else None
    if study is None:
        raise Http404
    study.dataset = dataset
    return study


def invitation_for(user: User, slug: str, number: int) -> StudyReviewer:
    """Return the user's invitation to a study that has started.

    Raises Http404 or PermissionDenied as dataset_for does. Raises Http404 if there is no such study, if it is
    a draft, or if the user is not invited.
    """
    dataset = dataset_for(user, slug, Role.REVIEWER)
    rows = StudyReviewer.objects.filter(user=user, study__dataset=dataset).select_related("study")
    rows = rows.exclude(study__started_at__isnull=True)
    invitation = rows.filter(study__number=number).first() if number < 2**31 else None
    if invitation is None:
        raise Http404
    invitation.study.dataset = dataset
    return invitation


def report_file_for(user: User, slug: str, number: int, version: int, language: str) -> StudyReportFile:
    """Return the PDF file of a report, for the admins of the dataset.

    Raises the same errors as study_for, and Http404 if there is no such file.
    """
    study = study_for(user, slug, number)
    rows = StudyReportFile.objects.filter(report__study=study, language=language)
    file = rows.filter(report__version=version).first() if version < 2**31 and "\0" not in language else None
    if file is None:
        raise Http404
    return file
