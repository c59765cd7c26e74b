"""The time of day by the database's clock, which all processes on all machines share.

Stored times are written and compared by this clock alone. It can be set back, and then stored times lie in the future:
they count as now, so that nothing waits until the clock has caught up. What must be measured inside one process
(time-outs, rhythms, silence) is measured by time.monotonic(), which nobody can set.
"""

from datetime import datetime, timedelta

from django.db import connection


def now() -> datetime:
    """Return the database's time of day, as it is during this statement. One short query."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]


def has_passed(span: timedelta, since: datetime, *, at: datetime | None = None) -> bool:
    """Return whether `span` has passed since a stored time. at: the database's time, where it is known already.

    A stored time in the future was written before the clock was set back: how long ago is not known, and the wait is
    over. A pause cut short costs one more try; a pause without end would be worse.
    """
    moment = at or now()
    return since > moment or moment - since >= span
