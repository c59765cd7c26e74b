"""The page of the logins of the last day, for admins of the platform.

It shows failures, logins that are slowed down and successes.
"""

from datetime import timedelta

from django.db.models import Count, F, Max
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from mekiki.accounts import sessions
from mekiki.accounts.access import require_platform_admin
from mekiki.accounts.http import user_of
from mekiki.audit.models import Event

DAY = timedelta(hours=24)
SHOWN = 100
RULES = {
    "device": _("one device"),
    "known_address": _("one address"),
    "new_address": _("one address"),
    "account": _("one account, from many addresses"),
    "address": _("one address, for many accounts"),
    "spray": _("one password for many accounts"),
}
KINDS = {
    "user.login_failed": _("Wrong password"),
    "user.login_slowed": _("Limited"),
    "user.logged_in": _("Logged in"),
    "user.logged_out": _("Logged out"),
    "user.login_refused": _("Login refused"),
    "user.sign_on_failed": _("Single sign-on failed"),
    "user.sign_on_cancelled": _("Single sign-on cancelled"),
    "user.created_at_sign_on": _("Account made at the first single sign-on"),
    "user.confirmed": _("Confirmed before a sensitive act"),
}


@require_safe
def logins(request: HttpRequest) -> HttpResponse:
    """Show the logins of the last day, so that an admin can see when somebody guesses passwords."""
    require_platform_admin(user_of(request))
    recent = Event.objects.filter(at__gt=Now() - DAY)
    failed = recent.filter(kind="user.login_failed")
    by_address = failed.values(of=F("data__address")).annotate(
        tries=Count("pk"), others=Count("data__name", distinct=True), last=Max("at")
    )
    by_account = (
        failed.exclude(data__name="")
        .values(of=F("data__name"))
        .annotate(tries=Count("pk"), others=Count("data__address", distinct=True), last=Max("at"))
    )
    latest = recent.filter(kind__in=KINDS).order_by("-at", "-pk")[:SHOWN]
    context = {
        "failures": failed.count(),
        "successes": recent.filter(kind="user.logged_in").count(),
        "slowed": [
            (event, RULES[event.data["rule"]])
            for event in recent.filter(kind="user.login_slowed").order_by("-at", "-pk")[:20]
            if event.data.get("rule") in RULES
        ],
        "by_address": by_address.order_by("-tries", "of")[:20],
        "by_account": by_account.order_by("-tries", "of")[:20],
        "latest": [
            (
                event,
                KINDS[event.kind],
                event.actor_name or event.data.get("name", ""),
                sessions.browser_name(str(event.data.get("agent", ""))),
            )
            for event in latest
        ],
    }
    return render(request, "accounts/logins.html", context)
