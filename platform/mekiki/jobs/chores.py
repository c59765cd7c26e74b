"""Chores: work that the sweeper does at a fixed interval.

`mekiki sweeper` runs every registered chore. The interval is measured with the monotonic clock of the
process. Each chore has its own thread and its own database connection, so a chore that waits does not delay
the others.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from django.db import Error, close_old_connections, connection

from mekiki.config.lazy import by_name

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PeriodicTask:
    """A function that the sweeper calls every few seconds.

    `prepare` is called in the thread of the chore, until it succeeds once. The function that it returns is
    called at each run. `prepare` also imports what the chore needs: every process registers chores, and only
    the sweeper runs them.
    """

    name: str
    every: float  # seconds from the end of one run to the beginning of the next
    prepare: Callable[[], Callable[[], object]]


_chores: dict[str, PeriodicTask] = {}


def register(chore: PeriodicTask) -> None:
    """Register a chore, which the sweeper runs from its start.

    Apps call this function in AppConfig.ready. A chore with the same name replaces the earlier one.
    """
    _chores[chore.name] = chore


def register_function(name: str, every: float, function: str) -> None:
    """Register a function as a chore, by its dotted name. It is imported in the thread of the chore."""
    act = by_name(function)
    register(PeriodicTask(name, every, lambda: act))


def registered() -> list[PeriodicTask]:
    """Return the chores of all apps."""
    return list(_chores.values())


def run_until(stopped: threading.Event, chores: list[PeriodicTask] | None = None) -> None:
    """Run the chores until `stopped` is set. If `chores` is None, run all registered chores."""
    threads = [
        threading.Thread(target=_keep_doing, args=(chore, stopped), name=chore.name, daemon=True)
        for chore in (registered() if chores is None else chores)
    ]
    for thread in threads:
        thread.start()
    stopped.wait()
    for thread in threads:
        thread.join(2.0)  # a thread that still waits for the database ends with the process


def _keep_doing(chore: PeriodicTask, stopped: threading.Event) -> None:
    act: Callable[[], object] | None = None
    try:
        while True:
            act = _do_once(chore, act)
            if stopped.wait(chore.every):
                return
    finally:
        connection.close()


def _do_once(chore: PeriodicTask, act: Callable[[], object] | None) -> Callable[[], object] | None:
    """Run a chore once, and return its prepared function. `act` is None if it is not prepared yet."""
    try:
        close_old_connections()
        act = act or chore.prepare()
        outcome = act()
    except Error as error:
        # The database may be reachable again at the next run.
        logger.warning("%s: the database did not answer (%s). It is tried again.", chore.name, error)
        connection.close()
    except Exception:
        logger.exception("%s failed. It is tried again.", chore.name)
    else:
        if isinstance(outcome, dict) and any(outcome.values()):
            logger.info("%s: %s", chore.name, outcome)
    return act
