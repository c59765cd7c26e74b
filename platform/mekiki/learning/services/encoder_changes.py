"""Changing a dataset's encoder. Every step is taken under the dataset's row lock, from a state that allows it.

    preparing → ready → switching → switched → taking_back → taken_back
        ↓         ↓         ↓ not done: ready        ↓ not done: switched
      failed   cancelled

Until `switch_over` commits, the encoder and the head in use are the old ones; from then on they are the new ones.
Here is what people (and the platform) ask for; what the job then does is in `encoder_steps`.
"""

from typing import Any

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from mekiki.accounts.access import at_least, role_in
from mekiki.accounts.models import Role
from mekiki.audit.services import record
from mekiki.datasets.models import Dataset
from mekiki.jobs.models import ACTIVE_STATES, Job, Kind, State
from mekiki.jobs.services import cancel, enqueue
from mekiki.learning.encoder_names import checked_encoder
from mekiki.learning.models import EncoderChange
from mekiki.learning.selectors import champion, encoder_in_use, has_embeddings
from mekiki.learning.services.encoder_steps import ACTS, S, end, lock_dataset, suspend_change


def change_key(dataset: Dataset) -> str:
    """One active job that changes a dataset's encoder."""
    return f"change_encoder:{dataset.pk}"


def require_admin(user: Any, dataset: Dataset) -> None:
    if not at_least(role_in(user, dataset), Role.ADMIN):
        raise PermissionDenied(_("Only an admin of this dataset can change its encoder."))


def removal_active(dataset: Dataset) -> bool:
    """Is a removal of embeddings asked for or under way?"""
    return Job.objects.filter(dataset=dataset, kind=Kind.REMOVE_EMBEDDINGS, state__in=ACTIVE_STATES).exists()


def settle(dataset: Dataset) -> None:
    """Move a change whose job has ended without a word (stopped while it waited, or its worker died each time) to
    where it rests. Called before every step, and by the sweeper of jobs."""
    ended = EncoderChange.objects.filter(dataset=dataset, state__in=EncoderChange.ACTING).select_related(
        "job"
    )
    for change in ended:
        job = change.job
        # By key: a job asked for while the one before it was ending is another row.
        if Job.objects.filter(key=change_key(dataset), state__in=ACTIVE_STATES).exists():
            continue
        stopped = job is not None and job.state == State.CANCELLED
        suspend_change(
            change=change,
            code="cancelled" if stopped else "job_ended",
            error=job.error if job else "",
            texts=job.error_texts if job else {},
        )


def settle_all() -> None:
    """Settle every dataset that needs it."""
    waiting = EncoderChange.objects.filter(state__in=EncoderChange.ACTING).exclude(
        job__state__in=ACTIVE_STATES
    )
    for change in waiting.select_related("dataset"):
        with transaction.atomic():
            settle(lock_dataset(change.dataset))


@transaction.atomic
def request_change(*, dataset: Dataset, name: str, user: Any = None) -> EncoderChange:
    """Prepare another encoder beside the one in use.

    user: None where the platform follows weights that were replaced behind the same name; that change switches over
    by itself when it is ready, because the old weights can read no new image. PermissionDenied below admin.
    ValidationError: not a name, not allowed here, in use already, or another change is open.
    """
    if user is not None:
        require_admin(user, dataset)
        name = checked_encoder(name).name
    row = lock_dataset(dataset)
    settle(row)
    if user is not None and name == row.encoder_name:
        raise ValidationError(_("This encoder is in use already."), code="in_use")
    open_one = EncoderChange.objects.filter(dataset=row, state__in=EncoderChange.OPEN).first()
    if open_one is not None:
        raise ValidationError(
            _("The change to %(name)s is not finished. Switch over to it or give it up first.")
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


def _give_job(change: EncoderChange, act: str, user: Any) -> None:
    back = act == "take_back"
    change.job = enqueue(
        kind=Kind.CHANGE_ENCODER,
        dataset=change.dataset,
        key=change_key(change.dataset),
        # `encoder`: what images are embedded by, as for the jobs of kind ENCODE.
        payload={"change": change.pk, "act": act, "encoder": change.from_name if back else change.to_name},
        user=user,
    )
    if change.job.cancel_requested:  # a step that was stopped has come to rest, and its job is just ending
        raise ValidationError(
            _("The step before is just being stopped. Try again in a moment."), code="still_ending"
        )
    change.save(update_fields=["job"])


def _taken(change: EncoderChange) -> EncoderChange:
    """The change, locked after its dataset, and settled."""
    dataset = lock_dataset(change.dataset)
    settle(dataset)
    return EncoderChange.objects.select_related("dataset", "job").get(pk=change.pk)


@transaction.atomic
def request_switch(*, change: EncoderChange, user: Any) -> EncoderChange:
    """Switch over to a prepared encoder: a job catches up with what came in since, then moves everything at once.

    PermissionDenied below admin. ValidationError: it is not ready.
    """
    require_admin(user, change.dataset)
    row = _taken(change)
    if row.state != S.READY:
        raise ValidationError(
            _("This change is not waiting to be switched over; it is %(state)s.")
            % {"state": row.get_state_display()},
            code="not_ready",
        )
    return _begin(row, "switch", user)


@transaction.atomic
def request_take_back(*, change: EncoderChange, user: Any) -> EncoderChange:
    """Go back to the encoder before, with what was decided since. Errors as request_switch; also ValidationError
    where a later change replaced this one, another change is open, or the old embeddings are gone."""
    require_admin(user, change.dataset)
    row = _taken(change)
    if why := take_back_obstacle(row):
        raise ValidationError(why, code="cannot_take_back")
    return _begin(row, "take_back", user)


def take_back_obstacle(change: EncoderChange) -> str:
    """Why a change cannot be taken back, in words; "" when it can."""
    dataset = change.dataset
    in_use = encoder_in_use(dataset)
    if change.state != S.SWITCHED or (in_use is not None and in_use.pk != change.to_encoder_id):
        return _("Only the change that brought the encoder in use can be taken back.")
    if EncoderChange.objects.filter(dataset=dataset, state__in=EncoderChange.OPEN).exists():
        return _("Another change of the encoder is not finished. Switch over to it or give it up first.")
    if removal_active(dataset):
        return _("Embeddings of this dataset are being removed. Wait until that has ended.")
    if change.from_encoder is not None and not has_embeddings(dataset, change.from_encoder):
        return _(
            "The embeddings by the encoder before were removed. Change to it anew: it is prepared once more."
        )
    return ""


def _begin(change: EncoderChange, act: str, user: Any) -> EncoderChange:
    change.state = ACTS[act][1]
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
def cancel_change(*, change: EncoderChange, user: Any) -> EncoderChange:
    """Give up a change that was not switched over, or stop the step that is under way. What was computed stays.

    PermissionDenied below admin. ValidationError: there is nothing to stop.
    """
    require_admin(user, change.dataset)
    row = _taken(change)
    if row.state in EncoderChange.ACTING and row.job is not None:
        cancel(job=row.job, user=user)
        settle(row.dataset)
        row.refresh_from_db()
    elif row.state == S.READY:
        end(row, S.CANCELLED)
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
