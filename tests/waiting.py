"""Waiting for a condition. A busy machine makes a test slower, but does not make it fail."""

import time
from collections.abc import Callable
from typing import Any

from django.db import connection

PATIENCE = 600.0  # seconds


def until(condition: Callable[[], Any], description: str = "the condition", every: float = 0.05) -> Any:
    """Wait until a condition has a true value and return it.

    Raises AssertionError, which contains the description, after PATIENCE.
    """
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"after {PATIENCE:.0f} s still not: {description}"
        time.sleep(every)
    return value


def is_blocked_by(pid: int) -> bool:
    """Return whether a session waits for a lock that the session with this process id holds."""
    with connection.cursor() as cursor:
        # Not pg_stat_activity: a transaction sees the same rows of it until its end.
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND %s = ANY(pg_blocking_pids(pid)))",
            [pid],
        )
        return bool(cursor.fetchone()[0])
