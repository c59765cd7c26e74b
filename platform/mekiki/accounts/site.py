"""The site's time zone: one source for pages and schedules (docs/explanation/time.md).

MEKIKI_TIME_ZONE, where it is set, holds; else the zone an admin chose, or the first admin's browser; else UTC.
"""

from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from django.conf import settings
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.utils.translation import gettext as _
from django_celery_beat.models import CrontabSchedule, PeriodicTasks

from mekiki.accounts.models import SiteSettings, User
from mekiki.audit.services import record


@cache
def known_zones() -> tuple[str, ...]:
    """Return the names a person may choose: those of regions, and UTC."""
    regions = (
        "Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific",
    )  # fmt: skip
    return ("UTC", *sorted(zone for zone in available_timezones() if zone.split("/")[0] in regions))


def zone_name() -> str:
    """Return the name of the site's time zone."""
    return resolve(SiteSettings.objects.values_list("time_zone", flat=True).first())


def resolve(stored: str | None) -> str:
    """Return the zone that holds when this one is stored. A name this machine does not know gives UTC."""
    name = settings.FIXED_TIME_ZONE or stored or "UTC"
    return name if name in available_timezones() else "UTC"


def zone() -> ZoneInfo:
    """Return the site's time zone."""
    return ZoneInfo(zone_name())


@transaction.atomic
def set_time_zone(*, name: str, actor: User, source: str = "admin") -> None:
    """Change the time zone of pages and schedules. source: "admin" or "browser", for the audit log.

    PermissionDenied: not an admin of the platform. ValidationError: an unknown zone, or MEKIKI_TIME_ZONE is set.
    """
    if not (actor.is_active and actor.is_superuser):
        raise PermissionDenied(_("Only an admin of the platform can do this."))
    if settings.FIXED_TIME_ZONE:
        raise ValidationError(
            _("The time zone is set by MEKIKI_TIME_ZONE on the server, to %(zone)s. It was not changed.")
            % {"zone": settings.FIXED_TIME_ZONE},
            code="fixed_zone",
        )
    if name not in available_timezones():
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
        actor=actor,
        target=row,
        data={"from": before or "UTC", "to": name, "source": source},
    )
    move_schedules(name)


def take_zone_of_browser(*, name: str, user: User) -> bool:
    """Take the zone of the first admin's browser where none is set; return whether it was taken."""
    if settings.FIXED_TIME_ZONE or not user.is_superuser or name not in known_zones():
        return False
    if SiteSettings.objects.exclude(time_zone="").exists():
        return False
    set_time_zone(name=name, actor=user, source="browser")
    return True


@transaction.atomic
def move_schedules(name: str) -> int:
    """Bring the stored schedules into this zone, and have beat read them again; return how many were moved."""
    moved = CrontabSchedule.objects.exclude(timezone=name).update(timezone=name)
    if moved:
        PeriodicTasks.update_changed()
    return moved
