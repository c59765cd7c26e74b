"""Times and dates, the same on every page: `{% load times %}{{ event.at|moment }}`.

Pages show times in the site's time zone (accounts/middleware.py activates it). Files for programs contain
UTC, in ISO 8601 with Z.
"""

from datetime import datetime, timedelta

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from django.utils.translation import gettext as _

register = template.Library()

# One format for every language, so that nobody confuses month and day.
_FORMATS = {
    "": "%Y-%m-%d %H:%M",
    "seconds": "%Y-%m-%d %H:%M:%S",
    "date": "%Y-%m-%d",
    "zone": "%Y-%m-%d %H:%M",
}


def zone_label(at: datetime) -> str:
    """Return the short name of the time zone: "JST", "CET", or "UTC+03:00" if it has no name."""
    name = at.strftime("%Z")
    return name if name.isalpha() else f"UTC{at.strftime('%z')[:3]}:{at.strftime('%z')[3:5]}"


def ago(at: datetime) -> str:
    """Return the time since `at`, in the reader's language and in one unit.

    It uses the clock of this process: it affects only the text of a page, and a page has many times.
    """
    since = timezone.now() - at
    if since < timedelta(0):
        return _("in %(time)s") % {"time": timesince(timezone.now(), at, depth=1)}
    if since < timedelta(minutes=1):
        return _("just now")
    return _("%(time)s ago") % {"time": timesince(at, depth=1)}


@register.filter
def moment(at: datetime | None, style: str = "") -> SafeString | str:
    """Return a time as a <time> element, to the minute; "" for None.

    The tooltip has seconds, zone and how long ago it was. `style` is "seconds", "date", "zone" (with the
    short name of the zone) or "ago" (how long ago; the tooltip has the time).
    """
    if at is None or not isinstance(at, datetime):
        return ""
    local = timezone.localtime(at)
    zone = zone_label(local)
    absolute = f"{local:%Y-%m-%d %H:%M:%S} {zone}"
    if style == "ago":
        shown, title = ago(at), absolute
    else:
        shown, title = local.strftime(_FORMATS[style]), f"{absolute} · {ago(at)}"
        shown = f"{shown} {zone}" if style == "zone" else shown
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', local.isoformat(timespec="seconds"), title, shown
    )
