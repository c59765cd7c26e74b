"""The time zone of the site, used by pages and schedules (docs/explanation/time.md).

The zone is MEKIKI_TIME_ZONE if it is set, else the zone that an admin chose or that the browser of the first
admin reported, else UTC.
"""

from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _
from django_celery_beat.models import CrontabSchedule, PeriodicTasks

from mekiki.accounts.access import require_platform_admin
from mekiki.accounts.models import SiteSettings, User
from mekiki.audit.services import record


@cache
def all_zones() -> frozenset[str]:
    """Return the name of every zone of this machine.

    They are read once: `available_timezones` opens every file of the time zone database, which takes longer
    than many requests.
    """
    return frozenset(available_timezones())


@cache
def known_zones() -> tuple[str, ...]:
    """Return the names that a user may choose: the zones of regions, and UTC."""
    regions = (
        "Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian",
        "Pacific",
    )  # fmt: skip
    return (
        "UTC",
        *sorted(zone for zone in all_zones() if zone.split("/")[0] in regions),
    )


def zone_name() -> str:
    """Return the name of the site's time zone."""
    return zone_of_stored_name(SiteSettings.objects.values_list("time_zone", flat=True).first())


def zone_of_stored_name(stored: str | None) -> str:
    """Return the zone in use when `stored` is the stored zone. An unknown zone gives UTC."""
    name = settings.FIXED_TIME_ZONE or stored or "UTC"
    return name if name in all_zones() else "UTC"


def site_zone() -> ZoneInfo:
    """Return the site's time zone."""
    return ZoneInfo(zone_name())


@transaction.atomic
def set_time_zone(*, name: str, user: User, source: str = "admin") -> None:
    """Change the time zone of pages and schedules.

    `source` is "admin" or "browser", for the audit log. Raises PermissionDenied if the user is not an admin
    of the platform. Raises ValidationError if the zone is unknown or MEKIKI_TIME_ZONE is set.
    """
    require_platform_admin(user)
    if settings.FIXED_TIME_ZONE:
        raise ValidationError(
            _("The time zone is set by MEKIKI_TIME_ZONE on the server, to %(zone)s. It was not changed.")
            % {"zone": settings.FIXED_TIME_ZONE},
            code="fixed_zone",
        )
    if name not in all_zones():
        raise ValidationError(
            _("“%(zone)s” is no time zone. It was not changed. Choose one such as Asia/Tokyo.")
            % {"zone": name[:60]},
            code="unknown_zone",
        )
    SiteSettings.objects.get_or_create(pk=SiteSettings.ONLY)
    row = SiteSettings.objects.select_for_update().get(pk=SiteSettings.ONLY)
    if row.time_zone == name or (source == "browser" and row.time_zone):
        return
    before, row.time_zone = row.time_zone, name
    row.save(update_fields=["time_zone"])
    record(
        kind="site.time_zone_set",
        actor=user,
        target=row,
        data={"from": before or "UTC", "to": name, "source": source},
    )
    move_schedules(name)


def take_zone_of_browser(*, name: str, user: User) -> bool:
    """Use the zone of an admin's browser if no zone is set. Return whether it was used."""
    if settings.FIXED_TIME_ZONE or not user.is_superuser or name not in known_zones():
        return False
    if SiteSettings.objects.exclude(time_zone="").exists():
        return False
    set_time_zone(name=name, user=user, source="browser")
    return True


@transaction.atomic
def move_schedules(name: str) -> int:
    """Set the time zone of the stored schedules, and make beat reload them. Return how many changed."""
    moved = CrontabSchedule.objects.exclude(timezone=name).update(timezone=name)
    if moved:
        PeriodicTasks.update_changed()
    return moved
