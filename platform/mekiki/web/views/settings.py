"""Settings that follow a user from page to page: language and appearance."""

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST
from django.views.i18n import set_language as django_set_language

from mekiki.accounts import services
from mekiki.accounts.http import user_or_none
from mekiki.web.context import THEME_COOKIE, THEMES

A_YEAR = 365 * 24 * 3600


@login_not_required
@require_POST
def set_language(request: HttpRequest) -> HttpResponse:
    """Set the language of the pages in a cookie and, for a logged-in user, in the account."""
    chosen = request.POST.get("language", "")
    user = user_or_none(request)
    # Django itself accepts more languages and made-up variants; only the languages of the pages are stored.
    if user is not None and chosen in dict(settings.LANGUAGES):
        services.set_language(user=user, language=chosen)
    return django_set_language(request)


@login_not_required
@require_POST
def set_theme(request: HttpRequest) -> HttpResponse:
    """Set the theme to light, dark or (an empty choice) the setting of the device."""
    target = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure()):
        target = reverse("home")
    response = HttpResponseRedirect(target)
    chosen = request.POST.get("theme", "")
    if chosen in THEMES:
        response.set_cookie(
            THEME_COOKIE, chosen, max_age=A_YEAR, samesite="Lax", httponly=True, secure=settings.HTTPS
        )
    else:
        response.delete_cookie(THEME_COOKIE, samesite="Lax")
    return response
