"""Answers of reviewers in a study. Each answer is recorded exactly once."""

from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.audit.services import record
from mekiki.quality.models import Study, StudyAnswer, StudyReviewer
from mekiki.quality.progress import Progress, progress_of
from mekiki.quality.services.studies import store_finish
from mekiki.review.adjustments import ViewAdjustments
from mekiki.review.errors import NotFoundForReviewerError, ReviewError
from mekiki.review.services.decisions import check_seen


@transaction.atomic
def record_answer(
    *,
    reviewer: StudyReviewer,
    user: User,
    image_id: int,
    run: int,
    label_id: int | None,
    client_key: UUID,
    milliseconds: int | None = None,
    view: ViewAdjustments | None = None,
) -> StudyAnswer:
    """Record an answer and return it. The last answer of a study finishes it and requests its report.

    An answer that is sent again with the same client_key returns the same answer with `duplicate` set.

    image_id: the id of the StudyImage. run: the run in which the image was shown. label_id: None if the
    person could not judge the image.

    Raises PermissionDenied if the user may not review the dataset. Raises NotFoundForReviewerError if the
    study has no such image or label, or if another person was invited. Raises InvalidAnswerError if the image
    was shown for too short a time. Raises ReviewError if the study is not running, if the run is not the
    present one, or if the image was answered in it.
    """
    require_role(user, reviewer.study.dataset, Role.REVIEWER)
    if reviewer.user_id != user.pk:
        raise NotFoundForReviewerError("not_invited", _("You are not invited to this study."))
    if view is not None:
        view.check()
    # The lock puts the answers of a person in order. An admin who ends the study takes it too.
    reviewer = (
        StudyReviewer.objects.select_for_update(no_key=True, of=("self",))
        .select_related("study__dataset")
        .get(pk=reviewer.pk)
    )
    study = reviewer.study
    before = StudyAnswer.objects.filter(reviewer=reviewer, client_key=client_key).first()
    if before is not None:
        if before.image_id != image_id or before.run != run:
            raise ReviewError(
                "key_used",
                _(
                    "This answer has the same key as an earlier answer. The earlier answer is kept; "
                    "answer again."
                ),
            )
        before.duplicate = True
        return before
    check_seen(reviewer.study.dataset, milliseconds)
    if study.state != Study.State.RUNNING:
        raise ReviewError(
            "study_ended",
            _("The study is not running any more. Nothing was recorded; your answers are kept."),
        )
    if not study.images.filter(pk=image_id).exists():
        raise NotFoundForReviewerError("unknown_image", _("There is no such image in this study."))
    if label_id is not None and not study.labels.filter(label=label_id).exists():
        raise NotFoundForReviewerError(
            "unknown_label", _("This study has no such label. Nothing was recorded.")
        )
    progress = progress_of(reviewer)
    _check_run(reviewer, progress, image_id, run)
    answer = StudyAnswer.objects.create(
        reviewer=reviewer,
        image_id=image_id,
        run=run,
        label_id=label_id,
        shown=_shown(progress, view),
        milliseconds=milliseconds,
        client_key=client_key,
    )
    # The event does not hold the label: reviewers can read the activity of the dataset, and nobody may see
    # an earlier answer while the study is running. The row of the answer never changes.
    record(
        kind="study.answered",
        actor=user,
        dataset=study.dataset,
        target=answer,
        data={"number": study.number, "run": run},
    )
    if progress_of(reviewer).done:
        _finish_if_complete(study, user)
    return answer


def _check_run(reviewer: StudyReviewer, progress: Progress, image_id: int, run: int) -> None:
    if StudyAnswer.objects.filter(reviewer=reviewer, image=image_id, run=run).exists():
        raise ReviewError(
            "answered_before",
            _(
                "You have answered this image in this run. The earlier answer is kept; go on with the next "
                "image."
            ),
        )
    if run != progress.run or progress.done:
        raise ReviewError(
            "other_run", _("This is not your present run. Nothing was recorded; reload the page.")
        )
    if progress.waits_until is not None:
        raise ReviewError(
            "pause",
            _("The pause between two runs has not ended. Nothing was recorded; come back after the pause."),
        )


def _shown(progress: Progress, view: ViewAdjustments | None) -> dict[str, Any]:
    adjusted = view.as_json() if view is not None else {}
    return {"blind": True, "place": progress.answered + 1} | ({"view": adjusted} if adjusted else {})


def _finish_if_complete(study: Study, user: User) -> None:
    """Finish the study if every person has answered every image in every run.

    The study is locked first: of two people who give their last answers at once, the second sees both.
    """
    locked = Study.objects.select_for_update(no_key=True, of=("self",)).select_related("dataset")
    study = locked.get(pk=study.pk)
    if study.state == Study.State.RUNNING and all(
        progress_of(reviewer).done for reviewer in study.reviewers.select_related("study")
    ):
        store_finish(study, user, early=False)
