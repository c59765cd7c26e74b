"""The acts of an admin on a study: create, draw again, start, cancel, finish, compute the report again."""

import secrets

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Max
from django.db.models.functions import Now
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.audit.services import record
from mekiki.datasets.models import Dataset
from mekiki.jobs.models import Job, Kind
from mekiki.jobs.payloads import AgreementPayload
from mekiki.jobs.services import enqueue
from mekiki.labeling.selectors import active_labels
from mekiki.quality.choosing import choose_images, confirmed_label_ids, eligible_images
from mekiki.quality.models import Study, StudyImage, StudyLabel, StudyReviewer
from mekiki.quality.models.studies import MAX_PAUSE_HOURS, MAX_RUNS, MIN_RUNS
from mekiki.quality.selectors import possible_reviewers

# AIAG, "Measurement systems analysis", and ISO/TR 14468 use 20 to 50 parts and two or three runs.
MIN_IMAGES, MAX_IMAGES = 20, 50
MIN_REVIEWERS, MAX_REVIEWERS = 2, 10
State, Reference = Study.State, Study.Reference


@transaction.atomic
def create_study(
    *,
    dataset: Dataset,
    user: User,
    name: str,
    method: str,
    images: int,
    boundary_percent: int,
    runs: int,
    pause_hours: int,
    reference: str,
    reviewer_ids: list[int],
    reference_person_id: int | None = None,
) -> Study:
    """Create a study as a draft, with its images and reviewers, and return it. The draft is its preview.

    Raises PermissionDenied if the user is no admin of the dataset. Raises ValidationError if a value is out
    of its bounds, if a person cannot review the dataset, or if there are too few images.
    """
    require_role(user, dataset, Role.ADMIN)
    name = name.strip()
    _check_design(name, method, images, boundary_percent, runs, pause_hours, reference)
    people = _check_people(dataset, reviewer_ids, reference, reference_person_id)
    # The lock ensures that each number is used once.
    Dataset.objects.select_for_update(no_key=True).get(pk=dataset.pk)
    newest = Study.objects.filter(dataset=dataset).aggregate(newest=Max("number"))["newest"] or 0
    study = Study.objects.create(
        dataset=dataset,
        number=newest + 1,
        name=name,
        method=method,
        images_wanted=images,
        boundary_percent=boundary_percent if method == Study.Method.STRATIFIED else 0,
        runs=runs,
        pause_hours=pause_hours,
        reference=reference,
        seed=secrets.randbelow(2**31),
        created_by=user,
    )
    StudyReviewer.objects.bulk_create(
        StudyReviewer(study=study, user_id=pk, is_reference=is_reference) for pk, is_reference in people
    )
    _draw(study)
    record(
        kind="study.created",
        actor=user,
        dataset=dataset,
        target=study,
        data={"number": study.number, "name": name, "images": study.images.count(), "runs": runs},
    )
    return study


def _check_design(
    name: str, method: str, images: int, boundary_percent: int, runs: int, pause_hours: int, reference: str
) -> None:
    if not name or len(name) > 100 or "\x00" in name or any(0xD800 <= ord(c) <= 0xDFFF for c in name):
        raise ValidationError(_("Give the study a name of 1 to 100 characters."))
    if method not in Study.Method.values or reference not in Reference.values:
        raise ValidationError(_("This design of a study does not exist."))
    if not MIN_IMAGES <= images <= MAX_IMAGES:
        raise ValidationError(
            _("A study has %(least)d to %(most)d images.") % {"least": MIN_IMAGES, "most": MAX_IMAGES}
        )
    if not MIN_RUNS <= runs <= MAX_RUNS:
        raise ValidationError(
            _("A study has %(least)d or %(most)d runs.") % {"least": MIN_RUNS, "most": MAX_RUNS}
        )
    if not 0 <= boundary_percent <= 100 or not 0 <= pause_hours <= MAX_PAUSE_HOURS:
        raise ValidationError(_("The share of hard images or the pause is out of its bounds."))


def _check_people(
    dataset: Dataset, reviewer_ids: list[int], reference: str, reference_person_id: int | None
) -> list[tuple[int, bool]]:
    """Return (user id, is reference person) of everybody who is invited."""
    reviewers = list(dict.fromkeys(reviewer_ids))
    if not MIN_REVIEWERS <= len(reviewers) <= MAX_REVIEWERS:
        raise ValidationError(
            _("A study has %(least)d to %(most)d reviewers.")
            % {"least": MIN_REVIEWERS, "most": MAX_REVIEWERS}
        )
    people = [(pk, False) for pk in reviewers]
    if reference == Reference.PERSON:
        if reference_person_id is None or reference_person_id in reviewers:
            raise ValidationError(_("Choose a reference person who is not one of the reviewers."))
        people.append((reference_person_id, True))
    allowed = set(possible_reviewers(dataset))
    if any(pk not in allowed for pk, _is_reference in people):
        raise ValidationError(
            _("A chosen person may not review this dataset. Give the person the role of a reviewer first.")
        )
    return people


def _draw(study: Study) -> None:
    """Draw the images of a draft. Raises ValidationError if there are too few."""
    chosen = choose_images(
        study.dataset,
        method=study.method,
        count=study.images_wanted,
        boundary_percent=study.boundary_percent,
        reference=study.reference,
        seed=study.seed,
    )
    if len(chosen) < study.images_wanted:
        n = len(chosen)
        raise ValidationError(
            ngettext(
                "Only %(n)d image fits this design, and %(wanted)d are needed. Nothing was saved; choose "
                "fewer images, another reference or a random choice, or import more images.",
                "Only %(n)d images fit this design, and %(wanted)d are needed. Nothing was saved; choose "
                "fewer images, another reference or a random choice, or import more images.",
                n,
            )
            % {"n": n, "wanted": study.images_wanted}
        )
    study.images.all().delete()
    by_image = (
        confirmed_label_ids(study.dataset, [choice.image for choice in chosen])
        if study.reference == Reference.CONFIRMED
        else {}
    )
    StudyImage.objects.bulk_create(
        StudyImage(
            study=study,
            image_id=choice.image,
            drawn_for_id=choice.label,
            near_boundary=choice.near_boundary,
            reference_label_id=by_image.get(choice.image),
        )
        for choice in chosen
    )


def _locked(study: Study, *states: str) -> Study:
    """Lock a study and return it as it is now. Raises ValidationError if it has another state."""
    locked = Study.objects.select_for_update(no_key=True, of=("self",)).select_related("dataset")
    current = locked.get(pk=study.pk)
    if current.state not in states:
        raise ValidationError(
            _("This study is %(state)s now. Nothing was changed; reload the page.")
            % {"state": current.get_state_display()}
        )
    return current


@transaction.atomic
def redraw(*, study: Study, user: User) -> Study:
    """Draw other images for a draft, and return it.

    Raises PermissionDenied if the user is no admin of the dataset, and ValidationError if the study is no
    draft or if there are too few images.
    """
    require_role(user, study.dataset, Role.ADMIN)
    study = _locked(study, State.DRAFT)
    study.seed = secrets.randbelow(2**31)
    study.save(update_fields=["seed"])
    _draw(study)
    record(kind="study.drawn", actor=user, dataset=study.dataset, target=study, data=_facts(study))
    return study


@transaction.atomic
def start(*, study: Study, user: User, reference_confirmed: bool = False) -> Study:
    """Start a study: fix its images, labels, reference labels and reviewers, and invite the reviewers.

    `reference_confirmed` is the admin's explicit statement that the confirmed labels are right. A study that
    compares with them needs it. Raises PermissionDenied if the user is no admin of the dataset. Raises
    ValidationError if the study is no draft, if the statement is missing, if an image entered the audit
    sample since it was drawn, or if the dataset has fewer than two labels.
    """
    require_role(user, study.dataset, Role.ADMIN)
    study = _locked(study, State.DRAFT)
    if study.reference == Reference.CONFIRMED and not reference_confirmed:
        raise ValidationError(
            _(
                "The study compares with the confirmed labels of its images. Look at them, and confirm that "
                "they are right."
            )
        )
    images = list(study.images.all())
    ids = [row.image_id for row in images]
    if eligible_images(study.dataset, study.reference).filter(pk__in=ids).count() < len(ids):
        raise ValidationError(
            _(
                "After the images were drawn, an image entered the audit sample or lost its confirmed "
                "label. The study was not started; draw other images, then start the study."
            )
        )
    labels = list(active_labels(study.dataset))
    if len(labels) < 2:
        raise ValidationError(_("A study needs at least two labels. Add labels first."))
    people = [(row.user_id, row.is_reference) for row in study.reviewers.all()]
    reviewers = [pk for pk, is_reference in people if not is_reference]
    reference_person = next((pk for pk, is_reference in people if is_reference), None)
    _check_people(study.dataset, reviewers, study.reference, reference_person)
    if study.reference == Reference.CONFIRMED:
        by_image = confirmed_label_ids(study.dataset, ids)
        for row in images:
            row.reference_label_id = by_image[row.image_id]
        StudyImage.objects.bulk_update(images, ["reference_label"])
    StudyLabel.objects.bulk_create(
        StudyLabel(study=study, label=label, position=label.position, critical=label.critical)
        for label in labels
    )
    study.state, study.started_at = State.RUNNING, Now()
    study.save(update_fields=["state", "started_at"])
    record(
        kind="study.started",
        actor=user,
        dataset=study.dataset,
        target=study,
        data=_facts(study)
        | {"seed": study.seed, "reference": study.reference, "reference_confirmed": reference_confirmed},
    )
    study.refresh_from_db()
    return study


@transaction.atomic
def cancel(*, study: Study, user: User) -> Study:
    """Cancel a draft or a running study. Its answers are kept, and no report is computed.

    Raises PermissionDenied if the user is no admin of the dataset, and ValidationError if the study has
    ended.
    """
    require_role(user, study.dataset, Role.ADMIN)
    lock_reviewers(study)
    study = _locked(study, State.DRAFT, State.RUNNING)
    study.state, study.ended_at = State.CANCELLED, Now()
    study.save(update_fields=["state", "ended_at"])
    record(kind="study.cancelled", actor=user, dataset=study.dataset, target=study, data=_facts(study))
    study.refresh_from_db()
    return study


@transaction.atomic
def finish(*, study: Study, user: User) -> Study:
    """Finish a running study before all answers are given, and request its report.

    Raises PermissionDenied if the user is no admin of the dataset, and ValidationError if the study is not
    running.
    """
    require_role(user, study.dataset, Role.ADMIN)
    lock_reviewers(study)
    study = _locked(study, State.RUNNING)
    store_finish(study, user, early=True)
    study.refresh_from_db()
    return study


def lock_reviewers(study: Study) -> None:
    """Lock the reviewers of a study, so that no answer is stored while it ends.

    An answer locks its reviewer and then, if it is the last one, the study. The order is the same here.
    """
    list(study.reviewers.select_for_update(no_key=True, of=("self",)).order_by("pk"))


def store_finish(study: Study, user: User, *, early: bool) -> None:
    """Store that a locked study has finished, and request its report for this user."""
    require_role(user, study.dataset, Role.REVIEWER)
    study.state, study.ended_at = State.FINISHED, Now()
    study.job = _enqueue(study, user)
    study.save(update_fields=["state", "ended_at", "job"])
    record(
        kind="study.finished",
        actor=user,
        dataset=study.dataset,
        target=study,
        data=_facts(study) | {"early": early},
    )


@transaction.atomic
def request_report(*, study: Study, user: User) -> Study:
    """Compute the report of a finished study again, as its next version.

    Raises PermissionDenied if the user is no admin of the dataset, and ValidationError if the study has not
    finished.
    """
    require_role(user, study.dataset, Role.ADMIN)
    study = _locked(study, State.FINISHED)
    study.job = _enqueue(study, user)
    study.save(update_fields=["job"])
    return study


def _enqueue(study: Study, user: User) -> Job:
    return enqueue(
        kind=Kind.AGREEMENT,
        dataset=study.dataset,
        key=f"agreement:{study.pk}",
        payload=AgreementPayload(study=study.pk).as_json(),
        user=user,
    )


def _facts(study: Study) -> dict[str, int | str | bool]:
    return {"number": study.number, "name": study.name}
