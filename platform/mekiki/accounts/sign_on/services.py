"""Linking an identity to a user, taking the link away, and the account that a first sign-on makes."""

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
    """Make an account for an identity that belongs to nobody: no roles, no rights, no password. Return the identity.

    SignOnRefused: the site makes no accounts, or the name cannot be used. No account is ever taken over by its name.
    """
    _lock(identity)
    account = SocialAccount.objects.filter(provider=provider.issuer_key(), uid=identity.subject).first()
    if account is not None:  # made by another request at the same moment
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
            _("The provider gave no name for you, so no account was made. Ask an admin of the platform."),
        )
    user = User(username=User.normalize_username(name))
    user.set_unusable_password()
    try:
        user.full_clean(exclude=["password"])
        with transaction.atomic():
            user.save()
    except ValidationError as problem:
        errors = [e for e in problem.error_dict.get("username", []) if hasattr(problem, "error_dict")]
        if any(error.code in {"name_taken", "unique"} for error in errors):
            raise _taken(name) from None
        words = _(
            "The provider’s name for you, “%(name)s”, cannot be a user name here. No account was made. Ask an admin "
            "of the platform."
        )
        raise SignOnRefused("name_refused", words % {"name": name}) from None
    except IntegrityError:  # taken between the check and the insert
        raise _taken(name) from None
    return user


def _taken(name: str) -> SignOnRefused:
    words = _(
        "There is a user “%(name)s” already, or one whose name looks like it. No account was made. If it is you: log "
        "in with your password, then link single sign-on on the page of your account. If not: ask an admin of the "
        "platform."
    )
    return SignOnRefused("name_taken", words % {"name": name})


@transaction.atomic
def link(*, user: User, identity: Identity, request: HttpRequest) -> SocialAccount:
    """Link an identity to the user who is logged in. SignOnRefused: it belongs to another user, or there are too many."""
    _lock(identity)
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
    notices.tell(user, "user.sign_on_linked")
    return account


@transaction.atomic
def unlink(*, user: User, account_id: int, request: HttpRequest) -> None:
    """Take an identity away from its user; the user's other sessions end.

    Http404: it is not the user's. ValidationError: the user could not log in any more.
    """
    User.objects.select_for_update().get(pk=user.pk)
    account = selectors.identities_of(user).filter(pk=account_id).first()
    if account is None:
        raise Http404
    others = selectors.identities_of(user).filter(provider=provider.issuer_key()).exclude(pk=account.pk)
    if not others.exists() and not selectors.has_other_way_in(user):
        raise ValidationError(
            _(
                "This is your only way to log in. It was not removed. Add a passkey that logs in alone first, or ask "
                "an admin of the platform for a password."
            ),
            code="only_way",
        )
    record(kind="user.sign_on_unlinked", actor=user, target=user, data=_data(user, account, request))
    notices.tell(user, "user.sign_on_unlinked")
    account.delete()
    sessions.end_sessions(user=user, but=request)


@transaction.atomic
def unlink_all(*, user: User, actor: User, request: HttpRequest) -> int:
    """Take all identities away from a user, whose sessions end; return how many were removed.

    For an account that somebody else has linked to. actor: another admin of the platform, PermissionDenied otherwise.
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
        notices.tell(user, "user.sign_on_unlinked")
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
    """Let no other request make or link this identity until the transaction ends."""
    with connection.cursor() as cursor:
        key = f"sign-on {provider.issuer_key()} {identity.subject}"
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [key])
