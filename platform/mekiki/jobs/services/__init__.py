"""Durable jobs, each claimed by one worker at a time.

A job is never lost and never takes effect twice. `enqueue` writes the row of a job and, after the commit,
sends its id to the broker. A worker calls `claim`, which raises `attempt`. From then on, the writes of this
worker carry the attempt. They are refused after another worker has claimed the job (fencing). `jobs.sweeping`
sends lost messages again and returns the jobs of dead workers to the queue.
"""

from mekiki.jobs.services.dead_workers import handle_dead_worker
from mekiki.jobs.services.ending import fail, finish_cancelled, may_retry, succeed
from mekiki.jobs.services.enqueueing import enqueue, send_message, send_message_on_commit
from mekiki.jobs.services.errors import CancelledError, LostClaimError, PausedError, WorkerStoppingError
from mekiki.jobs.services.running import (
    DECLINED_FOR,
    claim,
    decline,
    forget_deaths,
    mark_worker_stopping,
    record_heartbeat,
    requeue,
)
from mekiki.jobs.services.user_requests import PAUSABLE, cancel, pause, resume, retry

__all__ = [
    "DECLINED_FOR",
    "PAUSABLE",
    "CancelledError",
    "LostClaimError",
    "PausedError",
    "WorkerStoppingError",
    "cancel",
    "claim",
    "decline",
    "enqueue",
    "fail",
    "finish_cancelled",
    "forget_deaths",
    "handle_dead_worker",
    "mark_worker_stopping",
    "may_retry",
    "pause",
    "record_heartbeat",
    "requeue",
    "resume",
    "retry",
    "send_message",
    "send_message_on_commit",
    "succeed",
]
