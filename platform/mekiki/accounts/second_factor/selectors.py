"""Queries on second factors."""

from dataclasses import dataclass, field

from allauth.account.internal.flows.login import get_authentication_records
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest

from mekiki.accounts.models import Membership, Role, SiteSettings, User

# Recovery codes are not a separate factor: each replaces a factor of these kinds.
FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)

# The kind of factor of a login in which the provider of single sign-on checked the second factor.
BY_PROVIDER = "provider"


@dataclass
class Factors:
    """The second factors of one user."""

    app: Authenticator | None = None
    passkeys: list[Authenticator] = field(default_factory=list)
    codes: Authenticator | None = None

    @property
    def any(self) -> bool:
        """Return whether the second step of a login asks for something."""
        return self.app is not None or bool(self.passkeys)

    @property
    def codes_left(self) -> int:
        """Return how many recovery codes are unused. 0 if there are none, or if they cannot be decrypted."""
        if self.codes is None:
            return 0
        from mekiki.accounts.second_factor import sealing

        try:
            return len(self.codes.wrap().get_unused_codes())
        except sealing.Unreadable:
            return 0


def factors_of(user: User) -> Factors:
    """Return the authenticator app, the passkeys (oldest first) and the recovery codes of a user."""
    factors = Factors()
    for row in Authenticator.objects.filter(user_id=user.pk).order_by("pk"):
        if row.type == Authenticator.Type.TOTP:
            factors.app = row
        elif row.type == Authenticator.Type.WEBAUTHN:
            factors.passkeys.append(row)
        else:
            factors.codes = row
    return factors


def has_second_factor(user: User) -> bool:
    """Return whether the second step of the user's login asks for something."""
    return Authenticator.objects.filter(user_id=user.pk, type__in=FACTORS).exists()


def shown_to_provider(request: HttpRequest, user: User) -> bool:
    """Return whether the provider checked a second factor for this session, and the site accepts that."""
    if not settings.OIDC_SECOND_FACTOR:
        return False
    return any(record.get("type") == BY_PROVIDER for record in get_authentication_records(request, user))


def is_required_for_admins() -> bool:
    """Return whether admins of the platform and of datasets need a second factor."""
    return SiteSettings.objects.filter(second_factor_required=True).exists()


def administers(user: User) -> bool:
    """Return whether the user is an admin of the platform or of a dataset."""
    return user.is_superuser or Membership.objects.filter(user=user, role=Role.ADMIN).exists()


def admins_without() -> QuerySet[User]:
    """Return the active admins of the platform and of datasets without a second factor, by name."""
    users = User.objects.filter(_admin(), is_active=True).exclude(_factor())
    return users.order_by("username")


def _admin() -> Q:
    return Q(is_superuser=True) | Q(Exists(Membership.objects.filter(user=OuterRef("pk"), role=Role.ADMIN)))


def _factor() -> Q:
    return Q(Exists(Authenticator.objects.filter(user=OuterRef("pk"), type__in=FACTORS)))


def lacking() -> Q:
    """Return the condition for users who need a second factor and have none."""
    required = SiteSettings.objects.filter(second_factor_required=True)
    return Q(Exists(required)) & _admin() & ~_factor()
