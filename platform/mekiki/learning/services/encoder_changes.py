"""Requests of users and of the platform to change a dataset's encoder.

Every step holds the lock on the dataset's row and starts from a state that allows it.

    preparing → ready → switching → switched → taking_back → taken_back
        ↓         ↓         ↓ on failure: ready      ↓ on failure: switched
      failed   cancelled

The old encoder and head are in use until `switch_over` commits. From then on the new encoder and head are in
use. The steps of the job are in `encoder_steps`.
"""

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.audit.services import record
from mekiki.datasets.models import Dataset
from mekiki.jobs.models import ACTIVE_STATES, Job, Kind, State
from mekiki.jobs.payloads import ChangeEncoderPayload
from mekiki.jobs.services import cancel, enqueue
from mekiki.learning.encoder_names import checked_encoder
from mekiki.learning.models import EncoderChange
from mekiki.learning.selectors import champion, encoder_in_use, has_embeddings
from mekiki.learning.services.encoder_steps import (
    TRANSITIONS,
    finish_change,
    lock_dataset,
    record_step_failure,
)


def change_key(dataset: Dataset) -> str:
    """Return the key of the job that changes the encoder. A dataset has one active job of this kind."""
    return f"change_encoder:{dataset.pk}"


def removal_active(dataset: Dataset) -> bool:
    """Return whether a removal of embeddings is queued or running."""
    return Job.objects.filter(dataset=dataset, kind=Kind.REMOVE_EMBEDDINGS, state__in=ACTIVE_STATES).exists()


def record_lost_jobs(dataset: Dataset) -> None:
    """Update a change whose job ended without recording an outcome.

    This happens if the job was stopped while it waited or if its worker died at every attempt. Every step
    calls this function first, and so does a periodic chore.
    """
    ended = EncoderChange.objects.filter(dataset=dataset, state__in=EncoderChange.ACTING).select_related(
        "job"
    )
    for change in ended:
        job = change.job
        # Search by key, because a job requested while the previous job was ending is another row.
        if Job.objects.filter(key=change_key(dataset), state__in=ACTIVE_STATES).exists():
            continue
        stopped = job is not None and job.state == State.CANCELLED
        record_step_failure(
            change=change,
            code="cancelled" if stopped else "job_ended",
            error=job.error if job else "",
            texts=job.error_texts if job else {},
        )


def record_all_lost_jobs() -> None:
    """Call `settle` for every dataset with a change whose job has ended."""
    waiting = EncoderChange.objects.filter(state__in=EncoderChange.ACTING).exclude(
        job__state__in=ACTIVE_STATES
    )
    for change in waiting.select_related("dataset"):
        with transaction.atomic():
            record_lost_jobs(lock_dataset(change.dataset))


@transaction.atomic
def request_change(*, dataset: Dataset, name: str, user: User | None = None) -> EncoderChange:
    """Start the preparation of another encoder while the encoder in use stays active.

    user: None if the platform reacts to weights that were replaced behind the same name. That change switches
    over automatically when it is ready, because no new image can be embedded with the old weights.
    Raises PermissionDenied if the user is not an admin. Raises ValidationError if the name is malformed, not
    allowed here or already in use, if another change is open, or if embeddings are being removed.
    """
    if user is not None:
        require_role(user, dataset, Role.ADMIN)
        name = checked_encoder(name).name
    row = lock_dataset(dataset)
    record_lost_jobs(row)
    if user is not None and name == row.encoder_name:
        raise ValidationError(_("This encoder is in use already."), code="in_use")
    open_one = EncoderChange.objects.filter(dataset=row, state__in=EncoderChange.OPEN).first()
    if open_one is not None:
        raise ValidationError(
            _("The change to %(name)s is not finished. Switch over to it or cancel it first.")
            % {"name": open_one.to_name},
            code="change_open",
        )
    if removal_active(row):
        raise ValidationError(
            _("Embeddings of this dataset are being removed. Wait until that has ended."),
            code="removal_active",
        )
    in_use = champion(row)
    change = EncoderChange.objects.create(
        dataset=row,
        from_name=row.encoder_name,
        from_encoder=encoder_in_use(row),
        from_head=in_use,
        to_name=name,
        created_by=user,
    )
    _give_job(change, "prepare", user)
    record(
        kind="encoder.change_requested",
        actor=user,
        dataset=row,
        target=change,
        data={"from": change.from_name, "to": name},
    )
    return change


def _give_job(change: EncoderChange, act: str, user: User | None) -> None:
    back = act == "take_back"
    change.job = enqueue(
        kind=Kind.CHANGE_ENCODER,
        dataset=change.dataset,
        key=change_key(change.dataset),
        payload=ChangeEncoderPayload(
            change=change.pk, act=act, encoder=change.from_name if back else change.to_name
        ).as_json(),
        user=user,
    )
    if change.job.cancel_requested:  # a step that was stopped has come to rest, and its job is just ending
        raise ValidationError(
            _("The previous step is being stopped. Try again in a moment."), code="still_ending"
        )
    change.save(update_fields=["job"])


def _lock_change(change: EncoderChange) -> EncoderChange:
    """Lock the dataset, settle its changes, and return the current row of the change."""
    dataset = lock_dataset(change.dataset)
    record_lost_jobs(dataset)
    return EncoderChange.objects.select_related("dataset", "job").get(pk=change.pk)


@transaction.atomic
def request_switch(*, change: EncoderChange, user: User) -> EncoderChange:
    """Start the switch to a prepared encoder.

    A job first embeds the images that were added since the preparation. Then it changes the encoder and the
    head in one transaction. Raises PermissionDenied if the user is not an admin, and ValidationError if the
    change is not ready.
    """
    require_role(user, change.dataset, Role.ADMIN)
    row = _lock_change(change)
    if row.state != EncoderChange.State.READY:
        raise ValidationError(
            _("This change is not waiting to be switched over; it is %(state)s.")
            % {"state": row.get_state_display()},
            code="not_ready",
        )
    return _begin(row, "switch", user)


@transaction.atomic
def request_revert(*, change: EncoderChange, user: User) -> EncoderChange:
    """Start the return to the previous encoder. Later decisions are kept.

    Raises the errors of request_switch. Also raises ValidationError if a later change replaced this change,
    if another change is open, or if the old embeddings were removed.
    """
    require_role(user, change.dataset, Role.ADMIN)
    row = _lock_change(change)
    if why := revert_obstacle(row):
        raise ValidationError(why, code="cannot_take_back")
    return _begin(row, "take_back", user)


def revert_obstacle(change: EncoderChange) -> str:
    """Return why a change cannot be taken back, as a sentence, or "" if it can be."""
    dataset = change.dataset
    in_use = encoder_in_use(dataset)
    if change.state != EncoderChange.State.SWITCHED or (
        in_use is not None and in_use.pk != change.to_encoder_id
    ):
        return _("Only the change that introduced the encoder in use can be reverted.")
    if EncoderChange.objects.filter(dataset=dataset, state__in=EncoderChange.OPEN).exists():
        return _("Another change of the encoder is not finished. Switch over to it or cancel it first.")
    if removal_active(dataset):
        return _("Embeddings of this dataset are being removed. Wait until that has ended.")
    if change.from_encoder is not None and not has_embeddings(dataset, change.from_encoder):
        return _(
            "The embeddings by the previous encoder were removed. Prepare the change to this encoder again."
        )
    return ""


def _begin(change: EncoderChange, act: str, user: User) -> EncoderChange:
    change.state = TRANSITIONS[act][1]
    change.error = change.error_code = ""
    change.error_texts = {}
    change.save(update_fields=["state", "error", "error_code", "error_texts"])
    _give_job(change, act, user)
    record(
        kind="encoder.take_back_requested" if act == "take_back" else "encoder.switch_requested",
        actor=user,
        dataset=change.dataset,
        target=change,
        data={"from": change.from_name, "to": change.to_name},
    )
    return change


@transaction.atomic
def cancel_change(*, change: EncoderChange, user: User) -> EncoderChange:
    """Cancel a change that is ready to switch, or stop the step that is running.

    Computed embeddings are kept.

    Raises PermissionDenied if the user is not an admin, and ValidationError if there is nothing to stop.
    """
    require_role(user, change.dataset, Role.ADMIN)
    row = _lock_change(change)
    if row.state in EncoderChange.ACTING and row.job is not None:
        cancel(job=row.job, user=user)
        record_lost_jobs(row.dataset)
        row.refresh_from_db()
    elif row.state == EncoderChange.State.READY:
        finish_change(row, EncoderChange.State.CANCELLED)
        record(
            kind="encoder.change_cancelled",
            actor=user,
            dataset=row.dataset,
            target=row,
            data={"from": row.from_name, "to": row.to_name},
        )
    else:
        raise ValidationError(_("This change has ended; there is nothing to stop."), code="ended")
    return row
