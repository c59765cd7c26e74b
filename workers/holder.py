"""Which worker has a job: a name for each start of a worker, and what it says when it is asked to stop."""

import logging
import threading
import uuid

from workers.hardware import host

logger = logging.getLogger(__name__)

_name = ""


def take_name() -> str:
    """Make a new name for this process and for those it forks from now on."""
    global _name
    _name = f"{host()} {uuid.uuid4().hex}"
    return _name


def name() -> str:
    """Return the name of the worker that this process belongs to."""
    return _name or take_name()


def announce_stop() -> threading.Thread:
    """Say, in a thread, that this worker stops as planned. The handler of a signal may not wait for the database."""
    thread = threading.Thread(target=_announce, name="announce stop", daemon=True)
    thread.start()
    return thread


def _announce() -> None:
    from django.db import Error, connection

    from mekiki.jobs import services

    try:
        services.announce_stop(holder=name())
    except Error as error:  # then the sweeper counts a death for what is not finished
        logger.warning("It could not be stored that this worker stops (%s).", error)
    finally:
        connection.close()
