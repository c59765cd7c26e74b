"""Changing a dataset's encoder. Every step is taken under the dataset's row lock, from a state that allows it.

    preparing → ready → switching → switched → taking_back → taken_back
        ↓         ↓         ↓ not done: ready        ↓ not done: switched
      failed   cancelled

Until `switch_over` commits, the encoder and the head in use are the old ones; from then on they are the new ones.
"""

from typing import Any

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from mekiki.accounts.access import at_least, role_in
from mekiki.accounts.models import Role
from mekiki.audit.services import record
from mekiki.datasets.models import Dataset
from mekiki.jobs.models import ACTIVE_STATES, Job, Kind, State
from mekiki.jobs.services import cancel, enqueue
from mekiki.learning.encoder_names import checked_encoder
from mekiki.learning.models import Encoder, EncoderChange, Head
from mekiki.learning.selectors import champion, encoder_in_use, has_embeddings
from mekiki.learning.services.embeddings import request_encoding
from mekiki.learning.services.heads import promote

S = EncoderChange.State
# What a job does → (the states it may begin from, the state meanwhile, the state where it did not succeed).
_ACTS: dict[str, tuple[tuple[S, ...], S, S]] = {
    "prepare": ((S.FAILED, S.CANCELLED), S.PREPARING, S.FAILED),
    "switch": ((S.READY,), S.SWITCHING, S.READY),
    "take_back": ((S.SWITCHED,), S.TAKING_BACK, S.SWITCHED),
}
_RESTING = {acting: resting for _from, acting, resting in _ACTS.values()}


def change_key(dataset: Dataset) -> str:
    """One active job that changes a dataset's encoder."""
    return f"change_encoder:{dataset.pk}"


def lock_dataset(dataset: Dataset) -> Dataset:
    # The weaker lock: answers, which refer to the dataset, go on meanwhile.
    return Dataset.objects.select_for_update(no_key=True).get(pk=dataset.pk)


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
        rest_change(
            change=change, code="cancelled" if stopped else "job_ended", error=job.error if job else ""
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
    change.state = _ACTS[act][1]
    change.error = change.error_code = ""
    change.save(update_fields=["state", "error", "error_code"])
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
        _end(row, S.CANCELLED)
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


def _end(change: EncoderChange, state: S, **fields: Any) -> None:
    change.state, change.ended_at = state, timezone.now()
    for name, value in fields.items():
        setattr(change, name, value)
    change.save(update_fields=["state", "ended_at", *fields])


@transaction.atomic
def resume_change(*, job: Job) -> EncoderChange | None:
    """The change a job works on, in the state of the work; None when the step was taken already.

    A job that is tried again after it failed opens its change again. ValidationError: another one is open by now.
    """
    assert job.dataset is not None
    dataset = lock_dataset(job.dataset)
    change = (
        EncoderChange.objects.select_related("dataset")
        .filter(dataset=dataset, pk=job.payload["change"])
        .first()
    )
    if change is None:
        raise ValidationError(_("This change of the encoder does not exist (any more)."))
    allowed, acting, _resting = _ACTS[job.payload["act"]]
    if change.state in allowed:
        others = EncoderChange.objects.filter(dataset=dataset, state__in=EncoderChange.OPEN).exclude(
            pk=change.pk
        )
        if others.exists():
            raise ValidationError(
                _("Another change of the encoder was begun meanwhile. Nothing was changed.")
            )
        change.state, change.ended_at, change.error, change.error_code = acting, None, "", ""
    elif change.state == S.READY and change.created_by_id is None:
        pass  # the worker died between preparing and the switch that follows by itself
    elif change.state != acting:
        return None
    change.job = job
    change.save(update_fields=["state", "ended_at", "error", "error_code", "job"])
    return change


@transaction.atomic
def record_new_encoder(*, change: EncoderChange, encoder: Encoder, facts: dict[str, Any]) -> None:
    """Keep what was loaded, by its digest. ValidationError: it is what the dataset uses already."""
    dataset = lock_dataset(change.dataset)
    in_use = encoder_in_use(dataset)
    if in_use is not None and (in_use.digest, in_use.precision) == (encoder.digest, encoder.precision):
        raise ValidationError(
            _("%(name)s has the same weights as the encoder in use. There is nothing to change.")
            % {"name": change.to_name},
            code="same_weights",
        )
    change.to_encoder, change.facts = encoder, facts
    change.save(update_fields=["to_encoder", "facts"])


@transaction.atomic
def change_is_ready(
    *, change: EncoderChange, head: Head | None, facts: dict[str, Any], comparison: dict[str, Any]
) -> None:
    """Everything is embedded and compared: an admin may switch over."""
    lock_dataset(change.dataset)
    row = EncoderChange.objects.get(pk=change.pk)
    if row.state != S.PREPARING:
        return
    change.state, change.ready_at, change.to_head = S.READY, timezone.now(), head
    change.facts, change.comparison = {**row.facts, **facts}, comparison
    change.save(update_fields=["state", "ready_at", "to_head", "facts", "comparison"])
    record(
        kind="encoder.prepared",
        dataset=change.dataset,
        target=change,
        data={**_names(change), "head": head.version if head else None},
    )


@transaction.atomic
def record_long_prompts(*, change: EncoderChange, long_prompts: list[dict[str, Any]]) -> None:
    """Keep which of the current prompts are too long for the encoder that waits to be switched over to."""
    lock_dataset(change.dataset)
    row = EncoderChange.objects.get(pk=change.pk)
    if row.state == S.READY:
        row.facts = {**row.facts, "long_prompts": long_prompts}
        row.save(update_fields=["facts"])


@transaction.atomic
def switch_of_the_platform(*, change: EncoderChange, job: Job) -> None:
    """Weights behind the name were replaced and the new ones are ready: the same job goes on and switches over."""
    lock_dataset(change.dataset)
    change.refresh_from_db()
    if change.state == S.READY and change.created_by_id is None:
        # From here on the job's work is the switch, also when it is tried again.
        job.payload = {**job.payload, "act": "switch"}
        Job.objects.filter(pk=job.pk).update(payload=job.payload)
        change.state, change.job = S.SWITCHING, job
        change.save(update_fields=["state", "job"])


def _names(change: EncoderChange) -> dict[str, Any]:
    def one(name: str, encoder: Encoder | None) -> dict[str, Any]:
        return {
            "name": name,
            "digest": encoder.digest if encoder else None,
            "precision": encoder.precision if encoder else None,
        }

    return {"from": one(change.from_name, change.from_encoder), "to": one(change.to_name, change.to_encoder)}


@transaction.atomic
def switch_over(*, change: EncoderChange, head: Head | None, user: Any) -> None:
    """Move the dataset's encoder and its head in use together: to the new ones, or back.

    The head's predictions are stored before: readers see everything of the old encoder or everything of the new one.
    Done once: asked again after it was, nothing happens. ValidationError: the change was stopped meanwhile.
    """
    dataset = lock_dataset(change.dataset)
    row = EncoderChange.objects.select_related("from_encoder", "to_encoder", "from_head").get(pk=change.pk)
    if row.state in {S.SWITCHED, S.TAKEN_BACK}:
        return
    if row.state not in {S.SWITCHING, S.TAKING_BACK}:
        raise ValidationError(_("The change was stopped meanwhile. The encoder in use stays."))
    back = row.state == S.TAKING_BACK
    before = champion(dataset)
    dataset.encoder_name = row.from_name if back else row.to_name
    dataset.save(update_fields=["encoder_name"])
    if head is not None:
        promote(
            head=head,
            reason={"code": "taken_back" if back else "new_encoder", "encoder": dataset.encoder_name},
        )
    if back:
        _end(row, S.TAKEN_BACK)
    else:
        _end(row, S.SWITCHED, to_head=head, from_head=before)
    record(
        kind="encoder.taken_back" if back else "encoder.switched",
        actor=user,
        dataset=dataset,
        target=row,
        data={
            **_names(row),
            "head_before": before.version if before else None,
            "head_after": head.version if head else None,
        },
    )
    # What came in during the last moments, or was being embedded by the encoder before, follows.
    request_encoding(dataset=dataset, user=user)
    change.refresh_from_db()


@transaction.atomic
def rest_change(*, change: EncoderChange, code: str, error: str) -> None:
    """A step did not succeed (code "cancelled": it was stopped). The encoder in use stays, and so does what was
    computed; the change rests where the step can be asked for again."""
    lock_dataset(change.dataset)
    row = EncoderChange.objects.get(pk=change.pk)
    if row.state not in EncoderChange.ACTING:
        return
    step, stopped = row.state, code == "cancelled"
    resting = S.CANCELLED if stopped and step == S.PREPARING else _RESTING[S(step)]
    row.state = resting
    row.error_code, row.error = code[:40], "" if stopped else error
    if resting in {S.FAILED, S.CANCELLED}:
        row.ended_at = timezone.now()
    row.save(update_fields=["state", "error_code", "error", "ended_at"])
    record(
        kind="encoder.change_cancelled" if stopped else "encoder.change_failed",
        dataset=row.dataset,
        target=row,
        data={"from": row.from_name, "to": row.to_name, "step": step, "code": code, "error": error[:500]},
    )
