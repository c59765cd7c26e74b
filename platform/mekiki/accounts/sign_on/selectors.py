"""Queries on identities at the provider."""

from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.db.models import QuerySet

from mekiki.accounts.models import User
from mekiki.accounts.sign_on import provider


def identities_of(user: User) -> QuerySet[SocialAccount]:
    """Return all identities of a user, the oldest first, including those of a former provider."""
    return SocialAccount.objects.filter(user=user).order_by("pk")


def can_sign_on(user: User) -> bool:
    """Return whether the user has an identity at the provider in use."""
    return provider.is_set_up() and identities_of(user).filter(provider=provider.issuer_key()).exists()


def has_other_way_in(user: User, *, but: Authenticator | None = None) -> bool:
    """Return whether the user can log in with a password or with a passkey alone.

    The passkey `but` does not count.
    """
    passkeys = Authenticator.objects.filter(
        user_id=user.pk, type=Authenticator.Type.WEBAUTHN, data__alone=True
    )
    if but is not None:
        passkeys = passkeys.exclude(pk=but.pk)
    return user.has_usable_password() or passkeys.exists()
