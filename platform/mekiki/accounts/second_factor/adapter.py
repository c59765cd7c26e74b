"""What django-allauth asks of us about second factors."""

from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.stages import AuthenticateStage
from django.contrib.auth.base_user import AbstractBaseUser
from django.utils.translation import gettext as _

from mekiki.accounts.second_factor import sealing


class SecondFactorAdapter(DefaultMFAAdapter):
    """Encrypts secrets, and names things in the reader's language."""

    error_messages = {**DefaultMFAAdapter.error_messages, "incorrect_code": "incorrect_code"}

    def encrypt(self, text: str) -> str:
        """Return the secret as it is stored."""
        return sealing.encrypt(text)

    def decrypt(self, encrypted_text: str) -> str:
        """Return a stored secret."""
        return sealing.decrypt(encrypted_text)

    def get_totp_issuer(self) -> str:
        """Return what the authenticator app shows: a person may log in to several installations."""
        return f"Mekiki ({context.request.get_host()})"

    def _get_user_identifier(self, user: AbstractBaseUser) -> str:
        return user.get_username()

    def generate_authenticator_name(self, user: AbstractBaseUser, type: Authenticator.Type) -> str:
        """Return a name for a passkey that was given none."""
        count = Authenticator.objects.filter(user_id=user.pk, type=type).count()
        return _("Passkey %(number)d") % {"number": count + 1}

    def send_notification_mail(self, *args: object, **kwargs: object) -> None:
        """Send nothing: the audit log tells."""


class SecondStep(AuthenticateStage):
    """The second step of a login, for who has an authenticator app or a passkey. It remembers the password in use."""

    def handle(self) -> tuple:
        """Ask for the second factor, unless a passkey alone was used."""
        if self.login.user is not None:
            self.state["password"] = self.login.user.get_session_auth_hash()
        return super().handle()

    def is_current(self) -> bool:
        """Whether the user may go on: still active, and with the password of the first step."""
        user = self.login.user
        return bool(user and user.is_active and self.state.get("password") == user.get_session_auth_hash())
