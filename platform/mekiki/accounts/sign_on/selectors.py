"""Reads of identities at the provider."""

from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.db.models import QuerySet

from mekiki.accounts.models import User
from mekiki.accounts.sign_on import provider


def identities_of(user: User) -> QuerySet[SocialAccount]:
    """Return the identities linked to a user, the oldest first, also those of a provider that was used before."""
    return SocialAccount.objects.filter(user=user).order_by("pk")


def can_sign_on(user: User) -> bool:
    """Whether the user has an identity at the provider in use."""
    return provider.is_set_up() and identities_of(user).filter(provider=provider.issuer_key()).exists()


def has_other_way_in(user: User, *, but: Authenticator | None = None) -> bool:
    """Whether the user can log in without single sign-on: with a password, or a passkey that needs none. but: not this one."""
    passkeys = Authenticator.objects.filter(
        user_id=user.pk, type=Authenticator.Type.WEBAUTHN, data__alone=True
    )
    if but is not None:
        passkeys = passkeys.exclude(pk=but.pk)
    return user.has_usable_password() or passkeys.exists()
