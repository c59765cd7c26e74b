"""What happens to a job whose worker died."""

from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from mekiki.jobs.errors import in_every_language, translate_stored_text
from mekiki.jobs.models import Job, State
from mekiki.jobs.services.ending import end_job


def handle_dead_worker(*, job_id: UUID, attempt: int, beats: int) -> str:
    """Requeue or end a running job whose worker died. Return its new state, or "" if the worker is alive.

    `attempt` and `beats` are the values that were seen during the whole wait. A job that has changed since
    then is left alone. The death is not counted if the worker was asked to stop.
    """
    with transaction.atomic():
        seen = Job.objects.filter(pk=job_id, state=State.RUNNING, attempt=attempt, beats=beats)
        row = seen.select_for_update(skip_locked=True).first()
        if row is None:
            return ""
        if row.cancel_requested:
            end_job(row, State.CANCELLED)
            return State.CANCELLED
        if not row.holder_stops:
            row.deaths += 1
        if row.deaths >= row.max_attempts:
            texts = in_every_language(lambda: _death_sentence(row.deaths))
            asked_in = getattr(row.created_by, "language", "") or settings.LANGUAGE_CODE
            row.save(update_fields=["deaths"])
            with translation.override(asked_in):
                end_job(row, State.FAILED, error=translate_stored_text(texts), texts=texts)
            return State.FAILED
        row.state, row.sent_at = State.QUEUED, None
        row.save(update_fields=["state", "sent_at", "deaths"])
        return State.QUEUED


def _death_sentence(deaths: int) -> str:
    return _(
        "The worker died %(n)s times while it did this job. What was stored is kept. See the worker's log "
        "for the cause (often too little memory), then start the job again."
    ) % {"n": deaths}
