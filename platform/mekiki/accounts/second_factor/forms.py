"""Forms for second factors."""

from typing import Any

from allauth.mfa.webauthn.internal import auth
from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from mekiki.accounts.models import User
from mekiki.accounts.second_factor import services

REFUSED = _("The passkey was not accepted. Try again, or log in another way.")
_CODE = {"autocomplete": "one-time-code", "spellcheck": "false", "autocapitalize": "none"}


class CodeForm(forms.Form):
    """A code of an authenticator app, or a recovery code. The view passes it to the service."""

    code = forms.CharField(label=_("Code"), max_length=60, widget=forms.TextInput(attrs=_CODE))


class AppForm(forms.Form):
    """The first code of a new authenticator app."""

    code = forms.CharField(
        label=_("Code that the app shows"),
        max_length=60,
        widget=forms.TextInput(attrs={**_CODE, "inputmode": "numeric"}),
    )


class CredentialField(forms.JSONField):
    """The JSON that the browser's dialogue returned."""

    def to_python(self, value: Any) -> Any:
        """Return the value. Raises ValidationError also for JSON that is nested too deeply."""
        try:
            return super().to_python(value)
        except RecursionError:
            raise ValidationError(REFUSED) from None


class PasskeyForm(forms.Form):
    """A new passkey: the data of the browser's dialogue, checked against the challenge of this session."""

    name = forms.CharField(
        label=_("Name"),
        max_length=services.NAME_LENGTH,
        required=False,
        help_text=_("So that you recognise it later: “work laptop”, “key on the key ring”."),
    )
    alone = forms.BooleanField(
        label=_("Log in with this passkey alone, without a password"),
        required=False,
        initial=True,
        help_text=_("The device then asks for its PIN, a fingerprint or your face."),
    )
    credential = CredentialField(widget=forms.HiddenInput)

    def clean(self) -> dict[str, Any]:
        """Check the registration. No part of it is trusted before."""
        cleaned = super().clean() or {}
        credential = cleaned.get("credential")
        if credential is not None:
            binding = _checked(
                lambda: auth.complete_registration(_parsed(credential, auth.parse_registration_response))
            )
            if cleaned.get("alone") and not binding.is_user_verified():
                raise ValidationError(
                    _(
                        "This device asked for no PIN, fingerprint or face, so it cannot replace the "
                        "password. Nothing was saved. Try again without “passkey alone”."
                    )
                )
        return cleaned


class PasskeyNameForm(forms.Form):
    """A new name for a passkey."""

    name = forms.CharField(label=_("Name"), max_length=services.NAME_LENGTH)


class AssertionForm(forms.Form):
    """The answer of a passkey to the challenge of this session."""

    credential = CredentialField(
        widget=forms.HiddenInput, error_messages={"required": REFUSED, "invalid": REFUSED}
    )

    def __init__(self, *args: Any, user: User | None, **kwargs: Any) -> None:
        """Create the form for `user`. With None, the passkey identifies its user.

        In that case the passkey must have asked for a PIN, a fingerprint or a face.
        """
        self.user = user
        super().__init__(*args, **kwargs)

    def clean_credential(self) -> Any:
        """Return the passkey (an Authenticator) that answered."""
        credential = self.cleaned_data["credential"]
        parsed = _checked(lambda: auth.parse_authentication_response(credential))
        alone = self.user is None
        user = self.user or _checked(lambda: auth.extract_user_from_response(credential))
        passkey = _checked(lambda: auth.complete_authentication(user, credential))
        if alone and not (
            parsed.response.authenticator_data.is_user_verified() and passkey.data.get("alone", False)
        ):
            raise ValidationError(REFUSED)
        return passkey


def _parsed(credential: Any, parse: Any) -> Any:
    parse(credential)
    return credential


def _checked(act: Any) -> Any:
    """Run a step of the WebAuthn protocol on the data of a browser.

    Raises ValidationError if the step cannot read the data.
    """
    try:
        return act()
    except ValidationError:
        raise ValidationError(REFUSED) from None
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError):
        raise ValidationError(REFUSED) from None
