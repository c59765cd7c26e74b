"""The steps of the job that changes a dataset's encoder. Users request the job in `encoder_changes`.

Every step holds the lock on the dataset's row and starts from a state that allows it.
"""

from dataclasses import replace
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext_lazy

from mekiki.accounts.models import User
from mekiki.audit.services import record
from mekiki.config import clock
from mekiki.datasets.models import Dataset
from mekiki.jobs.errors import TranslatedText
from mekiki.jobs.models import Job
from mekiki.jobs.payloads import ChangeEncoderPayload
from mekiki.learning.models import Encoder, EncoderChange, Head
from mekiki.learning.selectors import champion, encoder_in_use
from mekiki.learning.services.embeddings import request_encoding
from mekiki.learning.services.heads import promote

State = EncoderChange.State
# Act of a job → (states from which it may start, state while it runs, state after a failure).
TRANSITIONS: dict[str, tuple[tuple[State, ...], State, State]] = {
    "prepare": ((State.FAILED, State.CANCELLED), State.PREPARING, State.FAILED),
    "switch": ((State.READY,), State.SWITCHING, State.READY),
    "take_back": ((State.SWITCHED,), State.TAKING_BACK, State.SWITCHED),
}
_STATE_AFTER_FAILURE = {acting: resting for _from, acting, resting in TRANSITIONS.values()}


def lock_dataset(dataset: Dataset) -> Dataset:
    """Lock the dataset until the transaction ends and return it. This serializes changes of its encoder."""
    # The weaker lock (no_key) does not block answers, which refer to the dataset.
    return Dataset.objects.select_for_update(no_key=True).get(pk=dataset.pk)


def finish_change(change: EncoderChange, state: State, **heads: Head | None) -> None:
    """Set the final state of a change, with its heads, if they are given."""
    change.state, change.ended_at = state, clock.now()
    for name, value in heads.items():
        setattr(change, name, value)
    change.save(update_fields=["state", "ended_at", *heads])


@transaction.atomic
def resume_change(*, job: Job) -> EncoderChange | None:
    """Return the change of a job, set to its running state, or None if the step is already done.

    A failed job that is tried again opens its change again. Raises ValidationError if the change does not
    exist or if another change is open.
    """
    assert job.dataset is not None
    dataset = lock_dataset(job.dataset)
    payload = ChangeEncoderPayload.of(job)
    change = (
        EncoderChange.objects.select_related("dataset").filter(dataset=dataset, pk=payload.change).first()
    )
    if change is None:
        raise ValidationError(gettext_lazy("This change of the encoder does not exist."))
    allowed, acting, _resting = TRANSITIONS[payload.act]
    if change.state in allowed:
        others = EncoderChange.objects.filter(dataset=dataset, state__in=EncoderChange.OPEN).exclude(
            pk=change.pk
        )
        if others.exists():
            raise ValidationError(
                gettext_lazy(
                    "Another change of the encoder was started in the meantime. Nothing was changed."
                )
            )
        change.state, change.ended_at, change.error, change.error_code = acting, None, "", ""
        change.error_texts = {}
    elif change.state == State.READY and change.created_by_id is None:
        pass  # the worker died between the preparation and the automatic switch
    elif change.state != acting:
        return None
    change.job = job
    change.save(update_fields=["state", "ended_at", "error", "error_code", "error_texts", "job"])
    return change


@transaction.atomic
def record_new_encoder(*, change: EncoderChange, encoder: Encoder, facts: dict[str, Any]) -> None:
    """Store the encoder that was loaded for a change, with its facts.

    Raises ValidationError if its digest and precision are those of the encoder in use.
    """
    dataset = lock_dataset(change.dataset)
    in_use = encoder_in_use(dataset)
    if in_use is not None and (in_use.digest, in_use.precision) == (encoder.digest, encoder.precision):
        raise ValidationError(
            gettext_lazy("%(name)s has the same weights as the encoder in use. There is nothing to change."),
            code="same_weights",
            params={"name": change.to_name},
        )
    change.to_encoder, change.facts = encoder, facts
    change.save(update_fields=["to_encoder", "facts"])


@transaction.atomic
def mark_change_ready(
    *, change: EncoderChange, head: Head | None, facts: dict[str, Any], comparison: dict[str, Any]
) -> None:
    """Mark a change as ready to switch, after all images are embedded and the encoders are compared."""
    lock_dataset(change.dataset)
    row = EncoderChange.objects.get(pk=change.pk)
    if row.state != State.PREPARING:
        return
    change.state, change.ready_at, change.to_head = State.READY, clock.now(), head
    change.facts, change.comparison = {**row.facts, **facts}, comparison
    change.save(update_fields=["state", "ready_at", "to_head", "facts", "comparison"])
    record(
        kind="encoder.prepared",
        dataset=change.dataset,
        target=change,
        data={**_names(change), "head": head.version if head else None},
    )


@transaction.atomic
def begin_platform_switch(*, change: EncoderChange, job: Job) -> None:
    """Continue the job of a platform change with the switch, after the replaced weights are prepared."""
    lock_dataset(change.dataset)
    change.refresh_from_db()
    if change.state == State.READY and change.created_by_id is None:
        # From here on the job performs the switch, also if it is tried again.
        job.payload = replace(ChangeEncoderPayload.of(job), act="switch").as_json()
        Job.objects.filter(pk=job.pk).update(payload=job.payload)
        change.state, change.job = State.SWITCHING, job
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
def switch_over(*, change: EncoderChange, head: Head | None, user: User | None) -> None:
    """Change the dataset's encoder and its head in one transaction, to the new pair or back.

    The caller stores the head's predictions before. So readers see only results of the old encoder or only
    results of the new encoder. A second call has no effect. Raises ValidationError if the change was stopped.
    """
    dataset = lock_dataset(change.dataset)
    row = EncoderChange.objects.select_related("from_encoder", "to_encoder", "from_head").get(pk=change.pk)
    if row.state in {State.SWITCHED, State.TAKEN_BACK}:
        return
    if row.state not in {State.SWITCHING, State.TAKING_BACK}:
        raise ValidationError(
            gettext_lazy("The change was stopped in the meantime. The encoder in use stays.")
        )
    back = row.state == State.TAKING_BACK
    before = champion(dataset)
    dataset.encoder_name = row.from_name if back else row.to_name
    dataset.save(update_fields=["encoder_name"])
    if head is not None:
        promote(
            head=head,
            reason={"code": "taken_back" if back else "new_encoder", "encoder": dataset.encoder_name},
        )
    if back:
        finish_change(row, State.TAKEN_BACK)
    else:
        finish_change(row, State.SWITCHED, to_head=head, from_head=before)
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
    # Images that were added in the last moments, or embedded only by the previous encoder, are embedded now.
    request_encoding(dataset=dataset, user=user)
    change.refresh_from_db()


@transaction.atomic
def record_step_failure(
    *, change: EncoderChange, code: str, error: str, texts: TranslatedText | None = None
) -> None:
    """Record that a step failed, or was stopped (code "cancelled").

    The encoder in use and all computed data are kept. The change returns to a state from which the step can
    be requested again.
    """
    lock_dataset(change.dataset)
    row = EncoderChange.objects.get(pk=change.pk)
    if row.state not in EncoderChange.ACTING:
        return
    step, stopped = row.state, code == "cancelled"
    resting = State.CANCELLED if stopped and step == State.PREPARING else _STATE_AFTER_FAILURE[State(step)]
    row.state = resting
    row.error_code, row.error = code[:40], "" if stopped else error
    row.error_texts = {} if stopped else texts or {}
    if resting in {State.FAILED, State.CANCELLED}:
        row.ended_at = clock.now()
    row.save(update_fields=["state", "error_code", "error", "error_texts", "ended_at"])
    record(
        kind="encoder.change_cancelled" if stopped else "encoder.change_failed",
        dataset=row.dataset,
        target=row,
        data={
            "from": row.from_name,
            "to": row.to_name,
            "step": step,
            "code": code,
            "error": texts or error[:500],
        },
    )
