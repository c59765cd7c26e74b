"""Waiting for a condition, never for a fixed time."""

import time
from collections.abc import Callable

from django.db import connection


def until(condition: Callable[[], object], seconds: float = 30.0) -> bool:
    """Wait for a condition and return whether it became true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def is_blocked_by(pid: int) -> bool:
    """Return whether a session waits for a lock that the session with this process id holds."""
    with connection.cursor() as cursor:
        # Not pg_stat_activity: a transaction sees the same rows of it until its end.
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND %s = ANY(pg_blocking_pids(pid)))",
            [pid],
        )
        return bool(cursor.fetchone()[0])
