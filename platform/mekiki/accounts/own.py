"""Pages on which users change their own account: the password, the mail address and the sessions."""

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from mekiki.accounts import login_flow, own_mail, services, sessions
from mekiki.accounts.confirming import require_confirmation
from mekiki.accounts.forms import OwnMailForm, OwnPasswordForm
from mekiki.accounts.http import user_of
from mekiki.accounts.outbox import is_mail_set_up


@sensitive_post_parameters()
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def change_password(request: HttpRequest) -> HttpResponse:
    """Change the user's own password.

    This is the only page for a user with a password that an admin has given.
    """
    user = user_of(request)
    if not user.has_usable_password():
        messages.info(request, _("You have no password. An admin of the platform can give you one."))
        return redirect("account")
    form = OwnPasswordForm(request, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            services.change_password(
                user=user, password=form.cleaned_data["new_password1"], actor=user, request=request
            )
        except ValidationError as error:
            form.add_error("new_password1", error)
        else:
            # This session continues under another key. All other sessions have ended.
            update_session_auth_hash(request, user)
            sessions.note_client(request)
            messages.success(request, _("Your password is changed. Other browsers have to log in again."))
            return redirect("account")
    context = {"form": form, "forced": user.must_change_password}
    return render(request, "accounts/password.html", context, status=422 if form.errors else 200)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sessions_page(request: HttpRequest) -> HttpResponse:
    """Show the user's own sessions with place, browser and last use. End one session or all others."""
    user = user_of(request)
    here = sessions.key_digest(request.session.session_key or "")
    if request.method == "POST":
        ended = services.end_own_sessions(user=user, request=request, only=request.POST.get("session", ""))
        text = ngettext("%(n)d session is logged out.", "%(n)d sessions are logged out.", ended)
        messages.success(request, text % {"n": ended})
        return redirect("sessions")
    rows = sessions.sessions_of(user)[:200]
    context = {
        "rows": [
            (row, row.pk == here, sessions.browser_name(row.agent), login_flow.login_steps_text(row))
            for row in rows
        ]
    }
    return render(request, "accounts/sessions.html", context)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@require_confirmation
def change_email(request: HttpRequest) -> HttpResponse:
    """Request another mail address. It takes effect when the user opens the link that is sent to it."""
    user = user_of(request)
    form = OwnMailForm(request.POST if request.method == "POST" else None, initial={"email": user.email})
    if request.method == "POST" and form.is_valid():
        email = form.cleaned_data["email"]
        try:
            own_mail.request_email_change(user=user, email=email)
        except ValidationError as error:
            form.add_error("email", error)
        else:
            if email:
                text = _("A link was sent to %(email)s. Open it within a day: until then nothing changes.")
                messages.success(request, text % {"email": email})
            else:
                messages.success(request, _("Your mail address is removed."))
            return redirect("account")
    context = {"form": form, "mail": is_mail_set_up()}
    return render(request, "accounts/mail.html", context, status=422 if form.errors else 200)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def use_email_link(request: HttpRequest, token: str) -> HttpResponse:
    """Show the page of the link in a mail to a new address.

    Only a POST changes the address, because programs open links too.
    """
    user = user_of(request)
    if request.method == "POST":
        email = own_mail.apply_change_link(token=token, user=user)
        if email is not None:
            messages.success(request, _("Your mail address is %(email)s now.") % {"email": email})
            return redirect("account")
    wanted = own_mail.read_change_link(token, user)
    context = {"wanted": wanted}
    return render(request, "accounts/mail_link.html", context, status=200 if wanted else 410)
