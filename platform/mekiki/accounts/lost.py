"""Pages for a lost password: request a mail, and choose a new password with the link in the mail."""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import SetPasswordForm
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from mekiki.accounts import mail_reset
from mekiki.accounts.clients import client_of

# The session key of the link. The link is removed from the address at once, so that it is in no browser
# history and in no referrer log of a proxy.
LINK_SESSION_KEY = "password_reset_link"


class ResetRequestForm(forms.Form):
    """The user name or mail address of the user who lost the password."""

    name = forms.CharField(label=gettext_lazy("User name or mail address"), max_length=254)


@never_cache
@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
def request_reset(request: HttpRequest) -> HttpResponse:
    """Request a mail. The answer does not show whether the user exists."""
    form = ResetRequestForm(request.POST if request.method == "POST" else None)
    asked = False
    if request.method == "POST" and form.is_valid() and mail_reset.is_mail_set_up():
        mail_reset.request_password_reset(name=form.cleaned_data["name"], client=client_of(request))
        asked = True
    context = {"form": form, "asked": asked, "mail": mail_reset.is_mail_set_up()}
    return render(request, "accounts/lost.html", context, status=422 if form.errors else 200)


@never_cache
@login_not_required
@require_http_methods(["GET", "HEAD"])
def open_reset_link(request: HttpRequest, key: str, token: str) -> HttpResponse:
    """Store the link of a mail in the session, and redirect to the page that uses it."""
    request.session[LINK_SESSION_KEY] = [key, token]
    return redirect("password-reset")


@sensitive_post_parameters()
@never_cache
@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
def choose_password(request: HttpRequest) -> HttpResponse:
    """Choose a new password with the link of a mail."""
    key, token = request.session.get(LINK_SESSION_KEY, ["", ""])
    user = mail_reset.user_of_link(key, token)
    if user is None:
        return render(request, "accounts/lost_link.html", {"mail": mail_reset.is_mail_set_up()}, status=410)
    form: Any = SetPasswordForm(user, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            done = mail_reset.set_password_by_link(
                key=key, token=token, password=form.cleaned_data["new_password1"], client=client_of(request)
            )
        except ValidationError as error:
            form.add_error("new_password1", error)
        else:
            request.session.pop(LINK_SESSION_KEY, None)
            if done is not None:
                messages.success(request, _("Your password is changed. Log in with it."))
            return redirect("login")
    context = {"form": form, "name": user.username}
    return render(request, "accounts/lost_reset.html", context, status=422 if form.errors else 200)
