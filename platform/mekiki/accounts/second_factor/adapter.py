"""The adapter of django-allauth for second factors, and the second step of a login."""

from allauth.account.internal.flows.login import record_authentication
from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.stages import AuthenticateStage
from django.contrib.auth.base_user import AbstractBaseUser
from django.utils.translation import gettext as _

from mekiki.accounts.second_factor import sealing, selectors


class SecondFactorAdapter(DefaultMFAAdapter):
    """An adapter that encrypts secrets and translates names into the reader's language."""

    error_messages = {**DefaultMFAAdapter.error_messages, "incorrect_code": "incorrect_code"}

    def encrypt(self, text: str) -> str:
        """Return the encrypted secret, as it is stored."""
        return sealing.encrypt(text)

    def decrypt(self, encrypted_text: str) -> str:
        """Return the secret of its stored, encrypted form."""
        return sealing.decrypt(encrypted_text)

    def get_totp_issuer(self) -> str:
        """Return the name that the authenticator app shows.

        It contains the host, because a person may log in to several installations.
        """
        return f"Mekiki ({context.request.get_host()})"

    def _get_user_identifier(self, user: AbstractBaseUser) -> str:
        return user.get_username()

    def generate_authenticator_name(self, user: AbstractBaseUser, type: Authenticator.Type) -> str:
        """Return a name for a passkey to which the user gave no name."""
        count = Authenticator.objects.filter(user_id=user.pk, type=type).count()
        return _("Passkey %(number)d") % {"number": count + 1}

    def send_notification_mail(self, *args: object, **kwargs: object) -> None:
        """Send nothing, because accounts/notices.py sends mails about changes of an account."""


class SecondStep(AuthenticateStage):
    """The second step of a login, for users with an authenticator app or a passkey.

    It stores which password was used in the first step.
    """

    def handle(self) -> tuple:
        """Request the second factor, unless the user logged in with a passkey alone.

        The second factor at the provider of single sign-on also counts, if the settings allow it.
        """
        user = self.login.user
        sign_on = (self.login.signal_kwargs or {}).get("sociallogin")
        # The login is stored until the second step is done. The sign-on is removed, because it is not needed
        # then.
        self.login.signal_kwargs = None
        if user is None:
            return super().handle()
        if sign_on is not None and sign_on.state.get("second_factor"):
            record_authentication(self.request, user, "mfa", type=selectors.BY_PROVIDER)
            return None, True
        self.state["password"] = user.get_session_auth_hash()
        return super().handle()

    def is_current(self) -> bool:
        """Return whether the user may continue: still active, with the same password as in the first step."""
        user = self.login.user
        return bool(user and user.is_active and self.state.get("password") == user.get_session_auth_hash())
