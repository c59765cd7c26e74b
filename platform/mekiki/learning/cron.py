"""Conversion between the schedule form of an admin and the crontab line that Celery beat reads.

"0 3 * * *" means daily at 03:00, "0 3 * * 1" Mondays at 03:00, and "0 */6 * * *" every six hours. Any other
line is shown unchanged.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from celery.schedules import ParseException, crontab, crontab_parser
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django_celery_beat.models import CrontabSchedule

OFF, DAILY, WEEKLY, HOURLY, ADVANCED = "off", "daily", "weekly", "hours", "advanced"
# Divisors of 24 only. With "every 5 hours" the last step before midnight would be 4 hours.
HOURS = (1, 2, 3, 4, 6, 8, 12)


@dataclass(frozen=True)
class Plan:
    """A schedule as the form shows it. `weekday` is crontab's number: 0 is Sunday."""

    mode: str = OFF
    hour: int = 3
    minute: int = 0
    weekday: int = 1
    hours: int = 6
    cron: str = ""


def to_cron(plan: Plan) -> str:
    """Return the crontab line of a plan, or "" if the schedule is off."""
    return {
        OFF: "",
        DAILY: f"{plan.minute} {plan.hour} * * *",
        WEEKLY: f"{plan.minute} {plan.hour} * * {plan.weekday}",
        HOURLY: f"0 */{plan.hours} * * *",
        ADVANCED: plan.cron.strip(),
    }[plan.mode]


def from_cron(cron: str) -> Plan:
    """Return the plan of a crontab line. An empty line means that the schedule is off."""
    cron = " ".join(cron.split())
    if not cron:
        return Plan()
    if match := re.fullmatch(r"(\d{1,2}) (\d{1,2}) \* \* (\*|[0-6])", cron):
        minute, hour, day = int(match[1]), int(match[2]), match[3]
        if day == "*":
            return Plan(DAILY, hour, minute, cron=cron)
        return Plan(WEEKLY, hour, minute, weekday=int(day), cron=cron)
    match = re.fullmatch(r"0 \*/(\d{1,2}) \* \* \*", cron)
    if match and int(match[1]) in HOURS:
        return Plan(HOURLY, hours=int(match[1]), cron=cron)
    return Plan(ADVANCED, cron=cron)


MINUTE = timedelta(minutes=1)
# The fields of a crontab line: column name, number of values, smallest value.
FIELDS = (
    ("minute", 60, 0),
    ("hour", 24, 0),
    ("day_of_month", 31, 1),
    ("month_of_year", 12, 1),
    ("day_of_week", 7, 0),
)


def cron_fields(cron: str) -> list[str]:
    """Return the five fields of a crontab line.

    Raises ValidationError, in the user's language, if the number of fields is wrong, if a field cannot be
    read, or if the day never comes.
    """
    fields = cron.split()
    if len(fields) != 5:
        parts = _("A schedule has five parts: minute, hour, day, month, weekday. “%(cron)s” has %(n)d.")
        raise _bad_cron(parts % {"cron": cron[:80], "n": len(fields)})
    for (field, count, first), value in zip(FIELDS, fields, strict=True):
        longest = CrontabSchedule._meta.get_field(field).max_length or 64
        if len(value) > longest:
            raise _not_a_schedule(
                cron,
                _("the %(field)s has %(length)d characters; at most %(most)d fit")
                % {"field": _field_label(field), "length": len(value), "most": longest},
            )
        try:
            read = crontab_parser(count, first).parse(value)
        except (ValueError, KeyError, ParseException):
            read = set()
        if not read:
            raise _not_a_schedule(
                cron,
                _("the %(field)s “%(value)s” is not from %(low)d to %(high)d")
                % {
                    "field": _field_label(field),
                    "value": value[:20],
                    "low": first,
                    "high": first + count - 1,
                },
            )
    try:
        _schedule(fields)
        next_runs(cron, "UTC", count=1)
    except (ValueError, KeyError, ParseException, RuntimeError):
        raise _not_a_schedule(cron, _("such a day never comes")) from None
    return fields


def _field_label(field: str) -> str:
    return {
        "minute": _("minute"),
        "hour": _("hour"),
        "day_of_month": _("day"),
        "month_of_year": _("month"),
        "day_of_week": _("weekday"),
    }[field]


def _not_a_schedule(cron: str, reason: str) -> ValidationError:
    return _bad_cron(_("“%(cron)s” is not a schedule: %(reason)s.") % {"cron": cron[:80], "reason": reason})


def _bad_cron(message: str) -> ValidationError:
    rest = _("Nothing was saved. Example: “30 6 * * 1-5” is half past six on working days.")
    return ValidationError(f"{message} {rest}", code="bad_cron")


def _schedule(fields: list[str]) -> crontab:
    minute, hour, day, month, weekday = fields
    return crontab(minute=minute, hour=hour, day_of_month=day, month_of_year=month, day_of_week=weekday)


def next_runs(cron: str, zone: str, *, count: int = 3, after: datetime | None = None) -> list[datetime]:
    """Return the next times at which beat runs a crontab line in a time zone, computed by beat's own code.

    A time that daylight saving skips runs later by the length of the skipped span. A time that comes twice
    runs the first time. The result is [] for an empty line.
    """
    if not cron.strip():
        return []
    tz = ZoneInfo(zone)
    schedule = _schedule(cron.split())
    last, runs = (after or datetime.now(UTC)).astimezone(tz), []
    schedule.nowfun = lambda: last
    for _n in range(count):
        start, step, _now = schedule.remaining_delta(last, tz=tz)
        # The way through UTC turns a skipped local time into the time that the clock shows then.
        last = (start + step).astimezone(UTC).astimezone(tz)
        runs.append(last)
    return runs
