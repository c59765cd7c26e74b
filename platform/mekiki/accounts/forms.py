"""Forms about people."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.forms import AuthenticationForm, UsernameField
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from mekiki.accounts import throttle
from mekiki.accounts.models import Role


class LoginForm(AuthenticationForm):
    """Name and password. After too many tries it says how long to wait, and looks at no password."""

    def clean(self) -> dict[str, Any]:
        """As Django's, with the pause. The message does not tell whether the name exists."""
        name = self.cleaned_data.get("username")
        if name and self.cleaned_data.get("password") and self.request is not None:
            address = throttle.address_of(self.request)
            wait = throttle.begin(name=name, address=address)
            if wait:
                minutes = -(-wait // 60)
                raise ValidationError(
                    ngettext(
                        "Too many tries for this name. Wait %(n)d minute, then try again.",
                        "Too many tries for this name. Wait %(n)d minutes, then try again.",
                        minutes,
                    )
                    % {"n": minutes},
                    code="slowed",
                )
            cleaned = super().clean()
            throttle.succeed(name=name, address=address)
            return cleaned
        return super().clean()


class NewUserForm(forms.Form):
    """A new user. An empty password asks for one to be made."""

    name = UsernameField(
        label=_("User name"),
        max_length=150,
        help_text=_(
            "Letters, digits and @ . + - _ only. It stands beside every decision and is never reused."
        ),
    )
    password = forms.CharField(
        label=_("Password"),
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}, render_value=False),
        help_text=_("Leave empty to have a strong one made. It is shown once."),
    )
    may_create_datasets = forms.BooleanField(label=_("May create datasets"), required=False)
    is_admin = forms.BooleanField(
        label=_("Admin of the platform"),
        required=False,
        help_text=_("Sees every dataset, and manages users."),
    )
    language = forms.ChoiceField(
        label=_("Language"), required=False, choices=[("", _("As the browser says")), *settings.LANGUAGES]
    )


class MemberForm(forms.Form):
    """Somebody to let into a dataset."""

    name = UsernameField(label=_("User name"), max_length=150)
    role = forms.ChoiceField(
        label=_("Role"),
        choices=Role.choices,
        initial=Role.REVIEWER,
        help_text=_(
            "Viewers look and download. Reviewers also answer. Admins also bring in images, edit labels and "
            "prompts, retrain, freeze label sets and manage members."
        ),
    )
