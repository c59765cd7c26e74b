"""Work that the sweeper does at a steady rhythm: `mekiki sweeper` runs every chore that apps have registered.

The rhythm is that of the process's monotonic clock. Each chore has a thread and a database connection of its own, so
that one that waits holds up no other.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from django.db import Error, close_old_connections, connection

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Chore:
    """One thing to do every few seconds. `prepare` is called once, in the chore's thread; what it returns, each time."""

    name: str
    every: float  # seconds from the end of one run to the beginning of the next
    prepare: Callable[[], Callable[[], object]]


_chores: dict[str, Chore] = {}


def register(chore: Chore) -> None:
    """Have the sweeper do this from its start on. Apps call it in AppConfig.ready; a name can be registered once more."""
    _chores[chore.name] = chore


def registered() -> list[Chore]:
    """The chores of all apps."""
    return list(_chores.values())


def run_until(stopped: threading.Event, chores: list[Chore] | None = None) -> None:
    """Do the chores (all that are registered, when None) until `stopped` is set."""
    threads = [
        threading.Thread(target=_keep_doing, args=(chore, stopped), name=chore.name, daemon=True)
        for chore in (registered() if chores is None else chores)
    ]
    for thread in threads:
        thread.start()
    stopped.wait()
    for thread in threads:
        thread.join(2.0)  # one that waits for the database ends with the process


def _keep_doing(chore: Chore, stopped: threading.Event) -> None:
    act = chore.prepare()
    try:
        while True:
            _do_once(chore, act)
            if stopped.wait(chore.every):
                return
    finally:
        connection.close()


def _do_once(chore: Chore, act: Callable[[], object]) -> None:
    try:
        close_old_connections()
        outcome = act()
    except Error as error:
        # A database that is gone comes back; the next run finds it.
        logger.warning("%s: the database did not answer (%s). It is tried again.", chore.name, error)
        connection.close()
    except Exception:
        logger.exception("%s failed. It is tried again.", chore.name)
    else:
        if isinstance(outcome, dict) and any(outcome.values()):
            logger.info("%s: %s", chore.name, outcome)
