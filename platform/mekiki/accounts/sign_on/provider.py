"""The OpenID provider in the settings, as a provider of django-allauth."""

import logging
from pathlib import Path

from allauth.socialaccount.models import SocialApp
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import gettext as _

from mekiki.accounts.sign_on.failures import SignOnRefused

log = logging.getLogger(__name__)
LARGEST_SECRET = 4096  # bytes
SCOPES = ["openid", "profile"]


def is_set_up() -> bool:
    """Return whether this site has single sign-on."""
    return bool(settings.OIDC_ISSUER)


def name() -> str:
    """Return the name of the provider on pages."""
    return settings.OIDC_NAME or _("single sign-on")


def issuer_key() -> str:
    """Return the key under which identities are stored: the issuer.

    A subject is unique only within its issuer.
    """
    return str(settings.OIDC_ISSUER)


def client_secret() -> str:
    """Return the client secret. It is read for each sign-on, so it can be replaced without a restart.

    Raises SignOnRefused if the file cannot be read or does not contain the secret on one line.
    """
    try:
        with Path(settings.OIDC_CLIENT_SECRET_FILE).expanduser().open("rb") as file:
            secret = file.read(LARGEST_SECRET + 1).decode().strip()
    except (OSError, ValueError) as error:
        log.error("MEKIKI_OIDC_CLIENT_SECRET_FILE cannot be read: %s", error)
        raise SignOnRefused("setup") from None
    if not secret or len(secret) > LARGEST_SECRET or not secret.isprintable():
        log.error("MEKIKI_OIDC_CLIENT_SECRET_FILE must hold the client secret on one line.")
        raise SignOnRefused("setup")
    return secret


class SignOnProvider(OpenIDConnectProvider):
    """The provider in the settings. No provider is stored in the database."""

    def __init__(self, request: HttpRequest) -> None:
        app = SocialApp(
            provider=self.id,
            provider_id=issuer_key(),
            name=name(),
            client_id=settings.OIDC_CLIENT_ID,
            settings={"server_url": settings.OIDC_ISSUER, "oauth_pkce_enabled": True, "scope": SCOPES},
        )
        super().__init__(request, app=app)

    def get_oauth2_adapter(self, request: HttpRequest) -> object:
        """Return the client that checks the answers of the provider."""
        from mekiki.accounts.sign_on.client import SignOnClient

        return SignOnClient(request)
