"""Services that create users and change their passwords, rights, roles and sessions.

Users are never deleted, because their names belong to decisions.
"""

import secrets

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils.translation import gettext as _

from mekiki.accounts import logins, notices, sessions, throttle
from mekiki.accounts.access import (
    DatasetLike,
    require_may_create_datasets,
    require_platform_admin,
    require_role,
    require_same_user,
)
from mekiki.accounts.clients import client_of
from mekiki.accounts.models import MAX_DAILY_GOAL, Membership, Role, User
from mekiki.audit.services import record

# Letters and digits that are not confused when they are read aloud or copied on paper.
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


def generate_password() -> str:
    """Return a strong password that a person can copy: four groups of five characters (99 bits)."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _n in range(5)) for _group in range(4))


@transaction.atomic
def create_user(
    *,
    name: str,
    password: str,
    is_admin: bool = False,
    may_create_datasets: bool = False,
    actor: User | None = None,
    language: str = "",
    email: str = "",
    must_change_password: bool | None = None,
) -> User:
    """Create a user.

    `actor` is the admin who creates the user, None for the platform. If an admin gives the password, the user
    must change it. Raises PermissionDenied if `actor` is not an admin of the platform. Raises ValidationError
    if the name is taken, confusable or malformed, or if the password is weak.
    """
    if actor is not None:
        require_platform_admin(actor)
    user = User(
        username=name,
        is_superuser=is_admin,
        is_staff=is_admin,
        may_create_datasets=may_create_datasets or is_admin,
        language=language,
        email=email,
        must_change_password=actor is not None if must_change_password is None else must_change_password,
    )
    validate_password(password, user)
    user.set_password(password)
    user.full_clean()
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError:  # the name was taken between the check and the insert
        user.refuse_confusable_name()
        raise
    record(kind="user.created", actor=actor, target=user, data={"name": user.username, "is_admin": is_admin})
    return user


@transaction.atomic
def change_password(*, user: User, password: str, actor: User, request: HttpRequest | None = None) -> None:
    """Change the user's own password. Every other session ends, and other devices count as new.

    The session of `request` continues. Raises ValidationError if the password is weak or the present one, and
    PermissionDenied if `actor` is another user.
    """
    require_same_user(actor, user)
    if user.check_password(password):
        raise ValidationError(
            _("This is your present password. Nothing was changed. Choose another one."), code="same_password"
        )
    validate_password(password, user)
    user.set_password(password)
    user.must_change_password = False
    user.save(update_fields=["password", "must_change_password"])
    sessions.end_sessions(user=user, but=request)
    logins.forget_clients(user=user, but=client_of(request) if request is not None else None)
    record(kind="user.password_changed", actor=actor, target=user, data={"name": user.username})
    notices.notify_user(user, "user.password_changed")


@transaction.atomic
def reset_password(*, user: User, password: str, actor: User | None, must_change: bool = True) -> None:
    """Give a user a new password, which must be changed at the next login. All sessions of the user end.

    `actor` is an admin of the platform, None for a command on the server. Raises PermissionDenied for other
    users, and ValidationError if the password is weak.
    """
    if actor is not None:
        require_platform_admin(actor)
    validate_password(password, user)
    user.set_password(password)
    user.must_change_password = must_change
    user.save(update_fields=["password", "must_change_password"])
    sessions.end_sessions(user=user)
    logins.forget_clients(user=user)
    throttle.forget_failures(user)
    record(kind="user.password_reset", actor=actor, target=user, data={"name": user.username})
    notices.notify_user(user, "user.password_reset")


def _lock_admins() -> list[User]:
    """Return the active admins of the platform and lock their rows.

    Without the lock, two admins could remove each other's rights at the same moment.
    """
    admins = User.objects.select_for_update().filter(is_superuser=True, is_active=True).order_by("pk")
    return list(admins)


@transaction.atomic
def set_admin(*, user: User, is_admin: bool, actor: User | None) -> User:
    """Make a user an admin of the platform, or withdraw this right. Roles in datasets stay.

    `actor` is an admin of the platform, None for a command on the server. Raises PermissionDenied for other
    users. Raises ValidationError for the last admin, and for a user who cannot log in.
    """
    if actor is not None:
        require_platform_admin(actor)
    others = [admin for admin in _lock_admins() if admin.pk != user.pk]
    row = User.objects.select_for_update().get(pk=user.pk)
    if row.is_superuser == is_admin:
        return row
    if is_admin and not row.is_active:
        raise ValidationError(
            _("A deactivated user cannot be an admin. Nothing was changed. Reactivate the user first.")
        )
    if not is_admin and row.is_active and not others:
        raise ValidationError(_("The platform keeps at least one admin. Make another user an admin first."))
    row.is_superuser = row.is_staff = is_admin
    row.save(update_fields=["is_superuser", "is_staff"])
    kind = "user.made_admin" if is_admin else "user.admin_withdrawn"
    record(kind=kind, actor=actor, target=row, data={"name": row.username})
    return row


@transaction.atomic
def set_active(*, user: User, active: bool, actor: User | None) -> User:
    """Activate or deactivate a user. The sessions of a deactivated user end, and all their work stays.

    The last admin of a dataset can be deactivated too: a user who leaves must be locked out at once, and
    admins of the platform are admins of every dataset. `actor` is an admin of the platform, None for the
    platform. Raises PermissionDenied for other users. Raises ValidationError for the actor's own account and
    for the last admin of the platform.
    """
    if actor is not None:
        require_platform_admin(actor)
    others = [admin for admin in _lock_admins() if admin.pk != user.pk]
    row = User.objects.select_for_update().get(pk=user.pk)
    if row.is_active == active:
        return row
    if not active and actor is not None and row.pk == actor.pk:
        raise ValidationError(_("You cannot deactivate yourself. Another admin can."))
    if not active and row.is_superuser and not others:
        raise ValidationError(_("The platform keeps at least one admin."))
    row.is_active = active
    row.save(update_fields=["is_active"])
    if not active:
        sessions.end_sessions(user=row)
    kind = "user.reactivated" if active else "user.deactivated"
    record(kind=kind, actor=actor, target=row, data={"name": row.username})
    return row


@transaction.atomic
def set_may_create_datasets(*, user: User, allowed: bool, actor: User) -> User:
    """Allow or forbid a user to create datasets. Admins of the platform may always create datasets.

    Raises PermissionDenied if `actor` is not an admin of the platform.
    """
    require_platform_admin(actor)
    row = User.objects.select_for_update().get(pk=user.pk)
    if row.may_create_datasets == allowed:
        return row
    row.may_create_datasets = allowed
    row.save(update_fields=["may_create_datasets"])
    kind = "user.creation_allowed" if allowed else "user.creation_withdrawn"
    record(kind=kind, actor=actor, target=row, data={"name": row.username})
    return row


def _refuse_last_dataset_admin(dataset: DatasetLike, user: User) -> None:
    """Raise ValidationError if the user is the only admin of the dataset.

    The rows of the admins stay locked until the transaction ends.
    """
    admins = Membership.objects.select_for_update(of=("self",)).filter(dataset_id=dataset.pk, role=Role.ADMIN)
    ids = set(admins.filter(user__is_active=True).order_by("pk").values_list("user_id", flat=True))
    if ids == {user.pk}:
        raise ValidationError(_("A dataset keeps at least one admin. Make somebody else admin first."))


@transaction.atomic
def set_role(*, dataset: DatasetLike, user: User, role: str, actor: User | None) -> Membership:
    """Give a user a role in a dataset. It replaces the user's earlier role.

    `actor` is an admin of the dataset, None for the platform. Raises PermissionDenied for other users. Raises
    ValidationError if the role is unknown, or if the user is the last admin and the new role is
    another one. A dataset needs an admin who can add members.
    """
    if actor is not None:
        require_role(actor, dataset, Role.ADMIN)
    if role not in Role.values:
        raise ValidationError(_("“%(role)s” is not a role."), params={"role": role})
    if role != Role.ADMIN:
        _refuse_last_dataset_admin(dataset, user)
    return _store_role(dataset, user, role, actor)


@transaction.atomic
def make_first_admin(*, dataset: DatasetLike, user: User) -> Membership:
    """Make the user who creates a dataset its admin.

    Raises PermissionDenied if the user may not create datasets or if the dataset has members.
    """
    require_may_create_datasets(user)
    if Membership.objects.filter(dataset_id=dataset.pk).exists():
        raise PermissionDenied(_("This dataset has members already."))
    return _store_role(dataset, user, Role.ADMIN, user)


def _store_role(dataset: DatasetLike, user: User, role: str, actor: User | None) -> Membership:
    # A viewer gives no decisions, so a member who becomes a viewer is no adjudicator any more.
    viewer = {"is_adjudicator": False} if role == Role.VIEWER else {}
    membership, _made = Membership.objects.update_or_create(
        dataset_id=dataset.pk, user=user, defaults={"role": role, **viewer}
    )
    record(
        kind="member.role_set",
        actor=actor,
        dataset=dataset,
        target=membership,
        data={"user": user.username, "role": role},
    )
    return membership


@transaction.atomic
def set_adjudicator(*, dataset: DatasetLike, user: User, adjudicator: bool, actor: User) -> Membership:
    """Make a member an adjudicator of a dataset, or end this.

    Nothing is recorded if nothing changes. Raises PermissionDenied if `actor` is not an admin of the dataset.
    Raises ValidationError if the user is not a member, or is a viewer.
    """
    require_role(actor, dataset, Role.ADMIN)
    membership = Membership.objects.select_for_update().filter(dataset_id=dataset.pk, user=user).first()
    if membership is None or (adjudicator and membership.role == Role.VIEWER):
        raise ValidationError(_("An adjudicator needs the role reviewer or admin. Change the role first."))
    if membership.is_adjudicator == adjudicator:
        return membership
    membership.is_adjudicator = adjudicator
    membership.save(update_fields=["is_adjudicator"])
    record(
        kind="member.made_adjudicator" if adjudicator else "member.adjudicator_ended",
        actor=actor,
        dataset=dataset,
        target=membership,
        data={"user": user.username},
    )
    return membership


@transaction.atomic
def set_daily_goal(*, dataset: DatasetLike, user: User, goal: int | None, actor: User) -> Membership:
    """Set how many answers a member is asked for each day; None removes the goal.

    Raises PermissionDenied if `actor` is not an admin of the dataset. Raises ValidationError if the goal is
    out of range, or if the user is no member or may only look.
    """
    require_role(actor, dataset, Role.ADMIN)
    if goal is not None and not 1 <= goal <= MAX_DAILY_GOAL:
        raise ValidationError(
            _("A daily goal is a number from 1 to %(most)s. Nothing was changed."),
            params={"most": MAX_DAILY_GOAL},
            code="goal_out_of_range",
        )
    rows = Membership.objects.select_for_update(no_key=True).filter(dataset_id=dataset.pk, user=user)
    membership = rows.exclude(role=Role.VIEWER).first()
    if membership is None:
        raise ValidationError(
            _("This user does not review the dataset, so a goal has no use. Nothing was changed."),
            code="not_a_reviewer",
        )
    if membership.daily_goal != goal:
        before, membership.daily_goal = membership.daily_goal, goal
        membership.save(update_fields=["daily_goal"])
        record(
            kind="member.goal_set",
            actor=actor,
            dataset=dataset,
            target=membership,
            data={"user": user.username, "before": before, "goal": goal},
        )
    return membership


@transaction.atomic
def remove_member(*, dataset: DatasetLike, user: User, actor: User | None) -> None:
    """Remove a user's role in a dataset. Nothing happens if the user has no role.

    `actor` is an admin of the dataset, None for the platform. Raises PermissionDenied for other users, and
    ValidationError for the last admin.
    """
    if actor is not None:
        require_role(actor, dataset, Role.ADMIN)
    _refuse_last_dataset_admin(dataset, user)
    membership = Membership.objects.select_for_update().filter(dataset_id=dataset.pk, user=user).first()
    if membership is None:
        return
    record(
        kind="member.removed",
        actor=actor,
        dataset=dataset,
        target=membership,
        data={"user": user.username},
    )
    membership.delete()


@transaction.atomic
def set_email(*, user: User, email: str, actor: User) -> User:
    """Set the mail address of a user, to which links for a lost password are sent; "" removes it.

    Raises ValidationError if `email` is no mail address, and PermissionDenied if `actor` is not an admin of
    the platform.
    """
    require_platform_admin(actor)
    if email:
        validate_email(email)
    row = User.objects.select_for_update().get(pk=user.pk)
    if row.email == email:
        return row
    before, row.email = row.email, email
    row.save(update_fields=["email"])
    record(kind="user.mail_changed", actor=actor, target=row, data={"name": row.username})
    for address in {before, email} - {""}:
        notices.notify_user(row, "user.mail_changed", to=address)
    return row


def set_language(*, user: User, language: str) -> None:
    """Store the language in which the user reads pages and mails."""
    if user.language != language:
        user.language = language
        user.save(update_fields=["language"])


@transaction.atomic
def end_own_sessions(*, user: User, request: HttpRequest, only: str = "") -> int:
    """End all sessions of the user except the one of this request. Return how many sessions ended.

    `only` is the digest of a single session to end instead. If all other sessions end, other devices count as
    new.
    """
    if only:
        here = sessions.key_digest(request.session.session_key or "")
        rows = sessions.sessions_of(user).filter(pk=only[:40].replace("\0", "")).exclude(pk=here)
        ended = rows.count()
        rows.delete()
    else:
        ended = sessions.end_sessions(user=user, but=request)
        logins.forget_clients(user=user, but=client_of(request))
    if ended:
        data = {"n": ended, **client_of(request).for_event()}
        record(kind="user.sessions_ended", actor=user, target=user, data=data)
    return ended


@transaction.atomic
def end_user_sessions_as_admin(*, user: User, actor: User) -> int:
    """End all sessions of a user, for an admin of the platform. Return how many sessions ended.

    The user's devices count as new afterwards. Raises PermissionDenied if `actor` is not an admin of the
    platform.
    """
    require_platform_admin(actor)
    ended = sessions.end_sessions(user=user)
    logins.forget_clients(user=user)
    record(kind="user.all_sessions_ended", actor=actor, target=user, data={"name": user.username, "n": ended})
    return ended
