"""The time of day from the database's clock, which all processes on all machines share.

Stored times are written and compared with this clock only. The clock can be set back, and then stored times
lie in the future. Such times are treated as now, so that nothing waits until the clock has caught up.
Durations within one process (timeouts, intervals, silence) are measured with time.monotonic(), which nobody
can set.
"""

from datetime import datetime, timedelta

from django.db import connection


def now(read: datetime | None = None) -> datetime:
    """Return the database's time of day during this statement. Runs one short query.

    `read` is the time that a statement of the caller has just returned. Then there is no query.
    """
    if read is not None:
        return read
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]


def has_passed(span: timedelta, since: datetime, *, at: datetime | None = None) -> bool:
    """Return whether `span` has passed since a stored time.

    `at` is the database's time, if the caller already knows it. A stored time in the future was written
    before the clock was set back. The real waiting time is then unknown, and the wait ends. A wait that is
    too short costs one more try, but a wait without end would be worse.
    """
    moment = at or now()
    return since > moment or moment - since >= span
