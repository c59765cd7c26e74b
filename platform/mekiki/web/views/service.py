"""Endpoints for the supervisor, monitors and admins."""

from datetime import timedelta

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, InterfaceError, connection
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django_prometheus import exports

from mekiki import __version__
from mekiki.accounts.access import require_platform_admin
from mekiki.accounts.http import user_of
from mekiki.config import disk
from mekiki.web import system


@login_not_required
@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """Return 200 if this process serves and its database answers, else 503.

    The answer contains nothing useful to an attacker. `status` is "ok", "degraded" (a process is not running,
    or a disk is nearly full: see /system/) or "no database".
    """
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (DatabaseError, InterfaceError):  # the second is a connection that was closed already
        return JsonResponse({"status": "no database", "version": __version__}, status=503)
    status = "degraded" if system.attention() else "ok"
    return JsonResponse({"status": status, "version": __version__})


@never_cache
@require_safe
def system_state(request: HttpRequest) -> HttpResponse:
    """Show processes and disks to platform admins."""
    require_platform_admin(user_of(request))
    context = {
        "processes": system.processes(),
        "disks": system.disks(),
        "attention": system.attention(),
        "reserve": disk.reserve_bytes(),
        "waiting": system.waiting_jobs(),
    }
    return render(request, "web/system.html", context)


@login_not_required
@require_safe
def security_txt(request: HttpRequest) -> HttpResponse:
    """Return the contact for security problems (RFC 9116). 404 unless MEKIKI_SECURITY_CONTACT is set."""
    if not settings.SECURITY_CONTACT:
        raise Http404
    # The file needs an expiry date. It is generated for each request.
    expires = (timezone.now() + timedelta(days=180)).strftime("%Y-%m-%dT00:00:00Z")
    lines = [f"Contact: {contact}" for contact in settings.SECURITY_CONTACT]
    lines += [f"Expires: {expires}", "Preferred-Languages: en, ja", ""]
    return HttpResponse("\n".join(lines), content_type="text/plain; charset=utf-8")


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Return the Prometheus metrics of this process, for platform admins."""
    require_platform_admin(user_of(request))
    return exports.ExportToDjangoView(request)
