"""The errors that stop the work on a job."""


class LostClaimError(Exception):
    """The error that another worker has claimed this job: stop, and write nothing more."""


class CancelledError(Exception):
    """The error that a user has requested the job to stop."""


class WorkerStoppingError(Exception):
    """The error that the worker was asked to stop: its unfinished work goes back to the queue."""
