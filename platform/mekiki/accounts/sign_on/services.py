"""Services that link an identity to a user, unlink it, and create an account at the first sign-on."""

from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.http import Http404, HttpRequest
from django.utils.translation import gettext as _

from mekiki.accounts import notices, sessions
from mekiki.accounts.access import require_platform_admin
from mekiki.accounts.clients import client_of
from mekiki.accounts.models import User
from mekiki.accounts.sign_on import provider, selectors
from mekiki.accounts.sign_on.failures import SignOnRefused
from mekiki.accounts.sign_on.tokens import Identity
from mekiki.audit.services import record

MAX_IDENTITIES = 5


@transaction.atomic
def first_sign_on(*, identity: Identity, request: HttpRequest) -> SocialAccount:
    """Create an account for an identity that no user has. Return the identity.

    The account has no roles, rights or password. Raises SignOnRefused if the site creates no accounts or the
    name cannot be used. A user with the same name never gets the identity.
    """
    _lock(identity)
    account = SocialAccount.objects.filter(provider=provider.issuer_key(), uid=identity.subject).first()
    if account is not None:  # created by another request at the same moment
        return account
    if not settings.OIDC_NEW_ACCOUNTS:
        raise SignOnRefused("not_linked")
    user = _new_user(identity.name)
    account = _store(identity, user)
    record(kind="user.created_at_sign_on", target=user, data=_data(user, account, request))
    return account


def _new_user(name: str) -> User:
    if not name:
        raise SignOnRefused(
            "name_missing",
            _("The provider gave no name for you, so no account was created. Ask an admin of the platform."),
        )
    user = User(username=User.normalize_username(name))
    user.set_unusable_password()
    try:
        user.full_clean(exclude=["password"])
        with transaction.atomic():
            user.save()
    except ValidationError as problem:
        errors = problem.error_dict.get("username", [])
        if any(error.code in {"name_taken", "unique"} for error in errors):
            raise _taken(name) from None
        words = _(
            "Your name at the provider, “%(name)s”, cannot be used as a user name here. No account "
            "was created. Ask an admin of the platform."
        )
        raise SignOnRefused("name_refused", words % {"name": name}) from None
    except IntegrityError:  # the name was taken between the check and the insert
        raise _taken(name) from None
    return user


def _taken(name: str) -> SignOnRefused:
    words = _(
        "There is a user “%(name)s” already, or one whose name looks like it. No account was created. If it "
        "is you: log in with your password, then link single sign-on on the page of your account. If not: "
        "ask an admin of the platform."
    )
    return SignOnRefused("name_taken", words % {"name": name})


@transaction.atomic
def link(*, user: User, identity: Identity, request: HttpRequest) -> SocialAccount:
    """Link an identity to the user who is logged in.

    Raises SignOnRefused if it belongs to another user, if the user has too many identities, or if the session
    has ended.
    """
    _lock(identity)
    User.objects.select_for_update().get(pk=user.pk)
    # The session may have ended while the provider answered.
    if not request.session.row().exists():  # type: ignore[attr-defined]
        raise SignOnRefused("state")
    account = SocialAccount.objects.filter(provider=provider.issuer_key(), uid=identity.subject).first()
    if account is not None and account.user_id != user.pk:
        words = _("This sign-on belongs to another user of this site. Nothing was linked.")
        raise SignOnRefused("linked_to_another", words)
    if account is not None:
        return account
    if selectors.identities_of(user).count() >= MAX_IDENTITIES:
        words = _("You have linked %(n)d sign-ons. Nothing was linked. Remove one first.")
        raise SignOnRefused("too_many", words % {"n": MAX_IDENTITIES})
    account = _store(identity, user)
    record(kind="user.sign_on_linked", actor=user, target=user, data=_data(user, account, request))
    notices.notify_user(user, "user.sign_on_linked")
    return account


@transaction.atomic
def unlink(*, user: User, account_id: int, request: HttpRequest) -> None:
    """Remove an identity from its user. The other sessions of the user end.

    Raises Http404 if the identity belongs to another user, and ValidationError if the user could no longer
    log in.
    """
    User.objects.select_for_update().get(pk=user.pk)
    account = selectors.identities_of(user).filter(pk=account_id).first()
    if account is None:
        raise Http404
    others = selectors.identities_of(user).filter(provider=provider.issuer_key()).exclude(pk=account.pk)
    if not others.exists() and not selectors.has_other_way_in(user):
        raise ValidationError(
            _(
                "This is your only way to log in. It was not removed. Add a passkey that logs in alone "
                "first, or ask an admin of the platform for a password."
            ),
            code="only_way",
        )
    record(kind="user.sign_on_unlinked", actor=user, target=user, data=_data(user, account, request))
    notices.notify_user(user, "user.sign_on_unlinked")
    account.delete()
    sessions.end_sessions(user=user, but=request)


@transaction.atomic
def unlink_all(*, user: User, actor: User, request: HttpRequest) -> int:
    """Remove all identities of a user. The user's sessions end. Return how many were removed.

    This is for an account to which somebody else has linked an identity. `actor` is another admin of the
    platform. Raises PermissionDenied for other users, and ValidationError if `actor` is the user.
    """
    require_platform_admin(actor)
    if actor.pk == user.pk:
        raise ValidationError(_("Remove your own links of single sign-on on your account’s page."))
    User.objects.select_for_update().get(pk=user.pk)
    accounts = list(selectors.identities_of(user))
    for account in accounts:
        record(kind="user.sign_on_unlinked", actor=actor, target=user, data=_data(user, account, request))
        account.delete()
    if accounts:
        notices.notify_user(user, "user.sign_on_unlinked")
        sessions.end_sessions(user=user)
    return len(accounts)


def _store(identity: Identity, user: User) -> SocialAccount:
    return SocialAccount.objects.create(
        user=user, provider=provider.issuer_key(), uid=identity.subject, extra_data={"name": identity.name}
    )


def _data(user: User, account: SocialAccount, request: HttpRequest) -> dict[str, str]:
    return {
        "name": user.username,
        "issuer": account.provider,
        "identity": account.extra_data.get("name") or account.uid,
        **client_of(request).for_event(),
    }


def _lock(identity: Identity) -> None:
    """Lock this identity until the transaction ends, so that no other request creates or links it."""
    with connection.cursor() as cursor:
        key = f"sign-on {provider.issuer_key()} {identity.subject}"
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [key])
