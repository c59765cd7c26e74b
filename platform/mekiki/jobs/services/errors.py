"""The errors that stop the work on a job."""


class LostClaimError(Exception):
    """The error that another worker has claimed this job: stop, and write nothing more."""


class CancelledError(Exception):
    """The error that a user has requested the job to stop."""


class PausedError(Exception):
    """The error that a user has paused the job: its work waits in the queue until the user resumes it."""


class WorkerStoppingError(Exception):
    """The error that the worker was asked to stop: its unfinished work goes back to the queue."""
