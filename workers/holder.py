"""Identity of a worker that runs jobs: a new name per start, and its announcement of a planned stop."""

import logging
import threading
import uuid

from workers.hardware import host

logger = logging.getLogger(__name__)

_name = ""


def assign_worker_name() -> str:
    """Set a new name for this process and for those that it forks from now on, and return it."""
    global _name
    _name = f"{host()} {uuid.uuid4().hex}"
    return _name


def holder_name() -> str:
    """Return the name of the worker that this process belongs to."""
    return _name or assign_worker_name()


def announce_stop() -> threading.Thread:
    """Store, in a thread, that this worker stops as planned.

    A signal handler must not wait for the database.
    """
    thread = threading.Thread(target=_announce, name="announce stop", daemon=True)
    thread.start()
    return thread


def _announce() -> None:
    from django.db import Error, connection

    from mekiki.jobs import services

    try:
        services.mark_worker_stopping(holder=holder_name())
    except Error as error:  # the sweeper then counts a death for each unfinished job
        logger.warning("It could not be stored that this worker stops (%s).", error)
    finally:
        connection.close()
