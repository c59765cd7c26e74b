"""Views for the login, the user's own account, the users of the platform and the settings of the site."""

from typing import Any

from allauth.account.internal.flows.login import perform_password_login
from allauth.account.models import Login
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import views as auth_views
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from mekiki.accounts import login_flow, mail_reset, selectors, services, sessions, site
from mekiki.accounts.access import get_user_for_admin, require_platform_admin
from mekiki.accounts.confirming import require_confirmation
from mekiki.accounts.forms import LoginForm, NewUserForm, OwnPasswordForm, SiteForm
from mekiki.accounts.http import user_of
from mekiki.accounts.second_factor import hosts
from mekiki.accounts.second_factor.selectors import (
    admins_without_second_factor,
    has_second_factor,
    is_required_for_admins,
)
from mekiki.accounts.sign_on import provider
from mekiki.accounts.sign_on.selectors import identities_of


class LoginView(auth_views.LoginView):
    """The login page. Django's view allows `next` only on this site and creates a new session."""

    template_name = "accounts/login.html"
    authentication_form = LoginForm
    redirect_authenticated_user = True

    def form_valid(self, form: Any) -> HttpResponse:
        """Continue with the next step of the login.

        accounts/login_flow.py finishes the login, and accounts/logins.py records it.
        """
        user = form.get_user()
        self.request.session[login_flow.ZONE_KEY] = str(form.cleaned_data.get("browser_zone") or "")[:64]
        login = Login(user=user, redirect_url=self.get_success_url())
        return perform_password_login(self.request, {"username": user.username}, login)

    def get_context_data(self, **more: Any) -> dict[str, Any]:
        """Add the available ways to log in."""
        return super().get_context_data(
            **more,
            passkeys_work=hosts.passkeys_work(self.request),
            mail=mail_reset.is_mail_set_up(),
            sign_on=provider.provider_name() if provider.is_set_up() else "",
        )


@never_cache
@require_safe
def account(request: HttpRequest) -> HttpResponse:
    """Show the user's own account: password, language, sessions, roles. accounts/own.py changes it."""
    user = user_of(request)
    context = {
        "form": OwnPasswordForm(request),
        "memberships": selectors.memberships_of(user),
        "session_count": sessions.sessions_of(user).count(),
        "has_second_factor": has_second_factor(user),
        "sign_on": provider.provider_name() if provider.is_set_up() else "",
        "identities": identities_of(user),
        "issuer": provider.issuer_key(),
        "mail": mail_reset.is_mail_set_up(),
    }
    return render(request, "accounts/account.html", context)


@require_safe
def users(request: HttpRequest) -> HttpResponse:
    """Show all users of the platform, by name."""
    require_platform_admin(user_of(request))
    search, after = request.GET.get("q", "")[:150], request.GET.get("after", "")[:150]
    # A text in PostgreSQL cannot contain NUL.
    page, more = selectors.users(after=after.replace("\0", ""), search=search.replace("\0", ""))
    context = {"users": page, "search": search, "after": after, "more": more}
    return render(request, "accounts/users.html", context)


@sensitive_post_parameters()
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@require_confirmation
def create(request: HttpRequest) -> HttpResponse:
    """Create a user. A generated password is only in the response to this request, never stored or sent."""
    require_platform_admin(user_of(request))
    form = NewUserForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        password = given["password"] or services.generate_password()
        try:
            user = services.create_user(actor=user_of(request), **{**given, "password": password})
        except ValidationError as error:
            for field, problems in _by_field(error).items():
                form.add_error(field, problems)
        else:
            if given["password"]:
                messages.success(request, _("%(name)s can log in now.") % {"name": user.username})
                return redirect("users")
            return render(request, "accounts/new_password.html", {"person": user, "password": password})
    return render(request, "accounts/create.html", {"form": form}, status=422 if form.errors else 200)


def _by_field(error: ValidationError) -> dict[str | None, list[str]]:
    """Return the error messages of the service by the field names of the form."""
    if not hasattr(error, "error_dict"):
        return {"password": error.messages}
    names = {"username": "name", "password": "password", "email": "email"}
    return {names.get(field): problems for field, problems in error.message_dict.items()}


@require_safe
def user(request: HttpRequest, user_id: int) -> HttpResponse:
    """Show one user: roles, rights and the actions of an admin."""
    shown_user = get_user_for_admin(user_of(request), user_id)
    context = {
        "person": shown_user,
        "memberships": selectors.memberships_of(shown_user),
        "session_count": sessions.sessions_of(shown_user).count(),
        "has_second_factor": has_second_factor(shown_user),
        "identities": identities_of(shown_user),
    }
    return render(request, "accounts/user.html", context)


@require_POST
@require_confirmation
def set_active(request: HttpRequest, user_id: int) -> HttpResponse:
    """Deactivate or reactivate a user."""
    target = get_user_for_admin(user_of(request), user_id)
    active = request.POST.get("active") == "1"
    try:
        services.set_active(user=target, active=active, actor=user_of(request))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        message = (
            _("%(name)s can log in again.") if active else _("%(name)s is logged out and cannot log in.")
        )
        messages.success(request, message % {"name": target.username})
        if not active and (datasets := selectors.datasets_without_admin(target)):
            text = _(
                "These datasets have no active admin now: %(names)s. Only admins of the platform can manage "
                "them. Make another member admin on the page Members."
            )
            messages.warning(request, text % {"names": ", ".join(datasets)})
    return redirect("user", user_id)


@require_POST
@require_confirmation
def set_may_create(request: HttpRequest, user_id: int) -> HttpResponse:
    """Allow or forbid a user to create datasets."""
    target = get_user_for_admin(user_of(request), user_id)
    allowed = request.POST.get("allowed") == "1"
    services.set_may_create_datasets(user=target, allowed=allowed, actor=user_of(request))
    message = (
        _("%(name)s may create datasets.") if allowed else _("%(name)s may not create datasets any more.")
    )
    messages.success(request, message % {"name": target.username})
    return redirect("user", user_id)


@require_POST
@require_confirmation
def set_email(request: HttpRequest, user_id: int) -> HttpResponse:
    """Set the mail address of a user."""
    target = get_user_for_admin(user_of(request), user_id)
    try:
        services.set_email(
            user=target, email=request.POST.get("email", "").strip()[:254], actor=user_of(request)
        )
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(request, _("Saved."))
    return redirect("user", user_id)


@require_POST
@require_confirmation
def end_sessions(request: HttpRequest, user_id: int) -> HttpResponse:
    """End all sessions of a user."""
    target = get_user_for_admin(user_of(request), user_id)
    if target.pk == user_of(request).pk:
        return redirect("sessions")
    ended = services.end_user_sessions_as_admin(user=target, actor=user_of(request))
    text = ngettext("%(n)d session is logged out.", "%(n)d sessions are logged out.", ended)
    messages.success(request, text % {"n": ended})
    return redirect("user", user_id)


@require_POST
@require_confirmation
def set_admin(request: HttpRequest, user_id: int) -> HttpResponse:
    """Make a user an admin of the platform, or withdraw this right."""
    target = get_user_for_admin(user_of(request), user_id)
    is_admin = request.POST.get("admin") == "1"
    try:
        services.set_admin(user=target, is_admin=is_admin, actor=user_of(request))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        message = (
            _("%(name)s is an admin of the platform now.")
            if is_admin
            else _("%(name)s is no admin of the platform any more.")
        )
        messages.success(request, message % {"name": target.username})
    # An admin who gave up this right cannot open the page of a user any more.
    return (
        redirect("home") if target.pk == user_of(request).pk and not is_admin else redirect("user", user_id)
    )


@never_cache
@require_POST
@require_confirmation
def reset_password(request: HttpRequest, user_id: int) -> HttpResponse:
    """Generate a new password and show it once. The user's sessions end."""
    target = get_user_for_admin(user_of(request), user_id)
    if target.pk == user_of(request).pk:
        messages.error(request, _("Change your own password on your account’s page."))
        return redirect("account")
    password = services.generate_password()
    services.reset_password(user=target, password=password, actor=user_of(request))
    return render(request, "accounts/new_password.html", {"person": target, "password": password})


@require_http_methods(["GET", "HEAD", "POST"])
def site_settings(request: HttpRequest) -> HttpResponse:
    """Show and change the settings of the whole site, for admins of the platform."""
    require_platform_admin(user_of(request))
    form = SiteForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            site.set_time_zone(name=form.cleaned_data["time_zone"], user=user_of(request))
        except ValidationError as error:
            form.add_error("time_zone", error)
        else:
            messages.success(request, _("Saved. Times and schedules are in the new zone from now on."))
            return redirect("site-settings")
    context = {
        "form": form,
        "fixed": settings.FIXED_TIME_ZONE,
        "zone": site.zone_name(),
        "now": timezone.now(),
        "second_factor_required": is_required_for_admins(),
        "without_factor": admins_without_second_factor()[:20],
    }
    return render(request, "accounts/site.html", context, status=422 if form.errors else 200)
