"""The settings of the OpenID provider: its name, its issuer and the client secret."""

import logging
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext as _

from mekiki.accounts.sign_on.failures import SignOnRefused

log = logging.getLogger(__name__)
LARGEST_SECRET = 4096  # bytes


def is_set_up() -> bool:
    """Return whether this site has single sign-on."""
    return bool(settings.OIDC_ISSUER)


def provider_name() -> str:
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
