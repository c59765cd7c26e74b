"""Forms for logins, users, members and the settings of the site."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm, UsernameField
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from mekiki.accounts import logins, site
from mekiki.accounts.http import user_of
from mekiki.accounts.models import Role


class LoginForm(AuthenticationForm):
    """The form with the user name and the password.

    The backend slows down guessing and reports how long to wait (accounts/backends.py).
    static/mekiki/js/zone.js fills in `browser_zone`, and the view reads it. No value of `browser_zone` may
    refuse a login.
    """

    browser_zone = forms.Field(required=False, widget=forms.HiddenInput)


class OwnPasswordForm(PasswordChangeForm):
    """The present password of the user, checked as at a login, and the new password twice."""

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        self.request = request
        super().__init__(user_of(request), *args, **kwargs)

    def clean_old_password(self) -> str:
        """Return the present password. Wrong passwords are slowed down and recorded as at the login."""
        password: str = self.cleaned_data["old_password"]
        if not logins.verify_password(
            user=user_of(self.request), password=password, request=self.request, door="password"
        ):
            raise ValidationError(self.error_messages["password_incorrect"], code="password_incorrect")
        return password


class NewUserForm(forms.Form):
    """A new user. If the password is empty, one is generated."""

    name = UsernameField(
        label=_("User name"),
        max_length=150,
        help_text=_(
            "Letters, digits and @ . + - _ only. The name is recorded with every decision and is "
            "never reused."
        ),
    )
    password = forms.CharField(
        label=_("Password"),
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}, render_value=False),
        help_text=_(
            "Leave empty to have a strong one made. It is shown once. The user must change it after the "
            "first login."
        ),
    )
    email = forms.EmailField(
        label=_("Mail address"),
        required=False,
        help_text=_("Links for a lost password go there."),
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


class OwnMailForm(forms.Form):
    """A new mail address for the user's account."""

    email = forms.EmailField(
        label=_("Mail address"),
        required=False,
        max_length=254,
        help_text=_(
            "Links for a lost password and notices of account changes are sent there. Empty: no mail."
        ),
    )


class MemberForm(forms.Form):
    """A new member of a dataset, with a role."""

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


class SiteForm(forms.Form):
    """The settings of the whole site."""

    time_zone = forms.ChoiceField(
        label=_("Time zone"),
        help_text=_("Times on pages and the schedules of retraining are in this zone."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        present = site.zone_name()
        self.initial.setdefault("time_zone", present)
        field = self.fields["time_zone"]
        assert isinstance(field, forms.ChoiceField)
        names = site.known_zones()
        field.choices = [(name, name) for name in (names if present in names else (present, *names))]
        if settings.FIXED_TIME_ZONE:
            field.disabled = True
            field.help_text = _(
                "MEKIKI_TIME_ZONE on the server sets the zone. Remove the variable and restart to choose it "
                "here."
            )
