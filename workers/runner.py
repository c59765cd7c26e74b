"""Execution of one job: claim it, send signs of life, run the stage, record the outcome.

A stage is `run(job, report) -> dict | None`. It calls `report` often (the calls to PostgreSQL are throttled).
A cancellation or a lost claim stops the stage in this call. A thread sends signs of life in between, so that
a long call into torch does not look like a dead worker.
"""

import contextlib
import importlib
import logging
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from django.core.exceptions import ValidationError
from django.db import InterfaceError, OperationalError, close_old_connections, connection
from django.utils import translation
from django.utils.translation import gettext as _

from mekiki.config import disk
from mekiki.config.start import collection_paused
from mekiki.jobs import waiting
from mekiki.jobs.errors import TranslatedText, in_every_language
from mekiki.jobs.models import Job
from mekiki.jobs.services import (
    CancelledError,
    LostClaimError,
    PausedError,
    WorkerStoppingError,
    claim,
    decline,
    fail,
    finish_cancelled,
    may_retry,
    record_heartbeat,
    requeue,
    succeed,
)
from mekiki.jobs.services.user_requests import PAUSED
from workers import holder
from workers.encoders.errors import EncoderError, VectorMismatchError
from workers.errors import StageError
from workers.hardware import host
from workers.messages import encoder_problem

logger = logging.getLogger(__name__)

HEARTBEAT_INTERVAL = 5.0  # seconds
DISK_CHECK_INTERVAL = 2.0  # seconds between two checks of the disk
WRITE_EVERY = 0.5  # seconds between two progress writes
DATABASE_TIMEOUT = 20.0  # seconds to wait for a lost database; below jobs.sweeping.SILENT_AFTER
# Seconds that a stopping worker lets a job continue, because it may finish. The supervisor kills after 20
# seconds.
STOP_GRACE_SECONDS = 5.0

Stage = Callable[[Job, "Report"], "dict[str, Any] | None"]


class Report:
    """Progress of a job, written at most twice a second. A call raises what must stop the stage.

    `report(stage="predicting", total=n, unit="images")` starts a stage; `report(done=k)` updates it. Stage
    names and units are msgids: the pages that show them translate them.

    Raises CancelledError (a person cancelled the job), PausedError (a person paused it), LostClaimError
    (another worker has the job), WorkerStoppingError (this worker was asked to stop a few seconds ago) or
    NoRoomError (the disk is nearly full, and the job must wait).
    """

    def __init__(self, job: Job, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._job = job
        self._clock = clock
        self._pending: dict[str, Any] = {}
        self._written = float("-inf")
        self._looked = clock()  # time of the last check of the disk
        self._begun = (clock(), 0)
        self.stop: Exception | None = None  # set by the heartbeat, raised here
        self._stops_at: float | None = None

    def __call__(
        self,
        *,
        stage: str | None = None,
        done: int | None = None,
        total: int | None = None,
        unit: str | None = None,
    ) -> None:
        if self.stop is not None:
            raise self.stop
        now = self._clock()
        if self._stops_at is not None and now >= self._stops_at:
            raise WorkerStoppingError
        if now - self._looked >= DISK_CHECK_INTERVAL:
            self._looked = now
            if reason := waiting.wait_reason(self._job.kind):
                raise disk.DiskFullError(reason)
        if stage is not None:
            self._begun = (now, done or 0)
            self._pending |= {"stage": stage, "done": 0, "total": 0, "rate": 0.0, "unit": ""}
        given = {"done": done, "total": total, "unit": unit}
        self._pending |= {name: value for name, value in given.items() if value is not None}
        if done is not None:
            since, first = self._begun
            self._pending["rate"] = (done - first) / (now - since) if now > since else 0.0
        if stage is not None or now - self._written >= WRITE_EVERY:
            self.write()

    def write(self) -> None:
        """Write the pending values now."""
        self._written = self._clock()
        fields, self._pending = self._pending, {}
        record_heartbeat(self._job, **fields)
        self.note(self._job)

    def note(self, job: Job) -> None:
        """Read from a sign of life whether the worker was asked to stop."""
        if job.holder_stops and self._stops_at is None:
            self._stops_at = self._clock() + STOP_GRACE_SECONDS


class _Heartbeat:
    """Thread that sends signs of life of a job on its own database connection, until exit."""

    def __init__(self, job: Job, report: Report) -> None:
        self._job = Job(pk=job.pk, attempt=job.attempt)
        self._report = report
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"heartbeat {job.pk}", daemon=True)

    def __enter__(self) -> "_Heartbeat":
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._ended.set()
        self._thread.join()

    def _beat(self) -> None:
        try:
            while not self._ended.wait(HEARTBEAT_INTERVAL):
                try:
                    record_heartbeat(self._job)
                    self._report.note(self._job)
                except (LostClaimError, CancelledError, PausedError) as stop:
                    self._report.stop = stop
                    return
                except (OperationalError, InterfaceError) as error:
                    logger.warning("Job %s: no sign of life could be written (%s).", self._job.pk, error)
                    connection.close()
                except Exception:  # without this thread the sweeper would take the job for dead
                    logger.exception("Job %s: no sign of life could be written.", self._job.pk)
                    connection.close()
        finally:
            connection.close()


def run_job(job_id: str, stage: Stage | None = None) -> str:
    """Run one job if it is still pending; return its outcome ("" if there was nothing to do).

    `stage` is the function to run; None selects it by the job's kind from workers.stages.
    """
    if waiting.mark_waiting(job_id):
        return "waits"
    job = claim(job_id, worker=host(), holder=holder.holder_name())
    if job is None:
        return ""
    language = getattr(job.created_by, "language", "") or translation.get_language() or "en"
    report = Report(job)
    with translation.override(language):
        try:
            with _Heartbeat(job, report):
                result = (stage or stage_of(job.kind))(job, report)
                report.write()
            succeed(job, result)
        except LostClaimError:
            logger.warning("Job %s was given to another worker; this one stops.", job.pk)
            return "lost"
        except Exception as error:
            return _record_early_end(job, error)
    return "succeeded"


def stage_of(kind: str) -> Stage:
    """Return the stage of a kind of job: workers.stages.<kind>.run.

    It is imported only when needed, because it may need torch.
    """
    name = f"workers.stages.{kind}"
    if name not in sys.modules:
        with collection_paused():
            importlib.import_module(name)
    stage: Stage = sys.modules[name].run
    return stage


def _record_early_end(job: Job, error: Exception) -> str:
    """Record why a job ended early; return the outcome.

    It waits for a lost database, because a database that was killed restarts soon. If the database stays
    unreachable, this raises, and the sweeper finds the job without signs of life and returns it to the queue.
    """
    reason = disk.disk_problem_of(error)
    message, retry = explain(error)
    texts = explain_to_all(error)
    if isinstance(error, CancelledError):
        logger.info("Job %s was cancelled.", job.pk)
    elif isinstance(error, PausedError):
        logger.info("Job %s is paused.", job.pk)
    elif isinstance(error, WorkerStoppingError):
        logger.info("Job %s goes back to the queue: this worker stops.", job.pk)
    elif reason:
        logger.warning("Job %s waits: %s (%s)", job.pk, reason, error)
    elif isinstance(error, VectorMismatchError):
        logger.error("Job %s is left to another worker: %s", job.pk, error)
    elif retry:
        logger.warning("Job %s will be tried again: %s", job.pk, error)
    else:
        logger.error("Job %s failed", job.pk, exc_info=error)
    deadline = time.monotonic() + DATABASE_TIMEOUT
    while True:
        try:
            return _record_end(job, error, message, texts, retry)
        except (OperationalError, InterfaceError):
            if connection.in_atomic_block or time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def _record_end(job: Job, error: Exception, message: str, texts: TranslatedText, retry: bool) -> str:
    close_old_connections()
    if not connection.in_atomic_block and not connection.is_usable():
        connection.close()
    with contextlib.suppress(LostClaimError):
        if isinstance(error, CancelledError):
            finish_cancelled(job)
            return "cancelled"
        if isinstance(error, PausedError):
            waiting.requeue_until_space(job, PAUSED)
            return "paused"
        if isinstance(error, WorkerStoppingError):
            requeue(job)
            return "put back"
        if reason := _must_wait(job, error, retry):
            waiting.requeue_until_space(job, reason)
            return "waits"
        if isinstance(error, VectorMismatchError):
            decline(job, worker=host(), reason=message, texts=texts)
            return "declined"
        fail(job, message, texts=texts, retry=retry)
        return "retried" if retry and may_retry(job) else "failed"
    return "lost"


def _must_wait(job: Job, error: Exception, retry: bool) -> str:
    """Return why a job that ended early waits for disk space instead of failing; "" if it does not.

    A lost database while the disk is full is not an error of the job either: it cannot run without space.
    """
    return disk.disk_problem_of(error) or (waiting.wait_reason(job.kind) if retry else "")


def explain_to_all(error: Exception) -> TranslatedText:
    """Return the sentence of `explain` in each language of the site, for storage."""
    return in_every_language(lambda: explain(error)[0])


def explain(error: Exception) -> tuple[str, bool]:
    """Return (a sentence for people, whether a retry may help)."""
    if isinstance(error, StageError):
        return str(error), False
    if isinstance(error, ValidationError):
        return " ".join(error.messages), False
    if isinstance(error, (OperationalError, InterfaceError)):
        return _("The database could not be reached; the work continues when it can be reached again."), True
    if isinstance(error, MemoryError):
        return (
            _(
                "This machine ran out of memory. What was stored is kept; "
                "free some memory, then start it again."
            ),
            False,
        )
    if isinstance(error, EncoderError):
        return encoder_problem(error), False
    return (
        _("An unexpected error occurred (%(kind)s: %(text)s). Stored results are kept; start the job again.")
        % {"kind": type(error).__name__, "text": str(error)[:500]},
        False,
    )
