"""A schedule between the words an admin chooses and the crontab line beat reads.

"0 3 * * *" is daily at 03:00; "0 3 * * 1" Mondays at 03:00; "0 */6 * * *" every six hours; anything else is
shown as the line it is.
"""

import re
from dataclasses import dataclass

OFF, DAILY, WEEKLY, HOURLY, ADVANCED = "off", "daily", "weekly", "hours", "advanced"
# Divisors of 24: "every 5 hours" would be every 5 hours but 4 at midnight.
HOURS = (1, 2, 3, 4, 6, 8, 12)


@dataclass(frozen=True)
class Plan:
    """A schedule as the form shows it. weekday: crontab's, 0 is Sunday."""

    mode: str = OFF
    hour: int = 3
    minute: int = 0
    weekday: int = 1
    hours: int = 6
    cron: str = ""


def to_cron(plan: Plan) -> str:
    """The crontab line; "" for off."""
    return {
        OFF: "",
        DAILY: f"{plan.minute} {plan.hour} * * *",
        WEEKLY: f"{plan.minute} {plan.hour} * * {plan.weekday}",
        HOURLY: f"0 */{plan.hours} * * *",
        ADVANCED: plan.cron.strip(),
    }[plan.mode]


def from_cron(cron: str) -> Plan:
    """The plan a crontab line stands for; "" is off."""
    cron = " ".join(cron.split())
    if not cron:
        return Plan()
    if found := re.fullmatch(r"(\d{1,2}) (\d{1,2}) \* \* (\*|[0-6])", cron):
        minute, hour, day = int(found[1]), int(found[2]), found[3]
        if day == "*":
            return Plan(DAILY, hour, minute, cron=cron)
        return Plan(WEEKLY, hour, minute, weekday=int(day), cron=cron)
    found = re.fullmatch(r"0 \*/(\d{1,2}) \* \* \*", cron)
    if found and int(found[1]) in HOURS:
        return Plan(HOURLY, hours=int(found[1]), cron=cron)
    return Plan(ADVANCED, cron=cron)
