"""Making users, letting them in and out, and giving them roles. Users are never deleted: their names stand
behind decisions."""

import secrets
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from mekiki.accounts.models import Membership, Role, User
from mekiki.audit.services import record

# Letters and digits that are not taken for each other when read aloud or copied by hand.
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


def generate_password() -> str:
    """A strong password a person can copy: four groups of five (99 bits)."""
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
) -> User:
    """Make a user. ValidationError: a taken, confusable or malformed name, or a weak password."""
    user = User(
        username=name,
        is_superuser=is_admin,
        is_staff=is_admin,
        may_create_datasets=may_create_datasets or is_admin,
        language=language,
    )
    validate_password(password, user)
    user.set_password(password)
    user.full_clean()
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError:  # taken between the check and the insert
        user.refuse_confusable_name()
        raise
    record(kind="user.created", actor=actor, target=user, data={"name": user.username, "is_admin": is_admin})
    return user


@transaction.atomic
def change_password(*, user: User, password: str, actor: User) -> None:
    """A new password; every session of the user ends. ValidationError for a weak one."""
    validate_password(password, user)
    user.set_password(password)
    user.save(update_fields=["password"])
    kind = "user.password_changed" if actor.pk == user.pk else "user.password_reset"
    record(kind=kind, actor=actor, target=user, data={"name": user.username})


@transaction.atomic
def set_active(*, user: User, active: bool, actor: User) -> User:
    """Let a user log in, or no longer: deactivated, their sessions end at once and what they did stays.

    ValidationError for the actor's own account and for the last admin of the platform.
    """
    # All admins are locked, so that two of them cannot shut each other out at the same moment.
    admins = User.objects.select_for_update().filter(is_superuser=True, is_active=True).order_by("pk")
    others = [admin for admin in admins if admin.pk != user.pk]
    row = User.objects.select_for_update().get(pk=user.pk)
    if row.is_active == active:
        return row
    if not active and row.pk == actor.pk:
        raise ValidationError(_("You cannot deactivate yourself. Another admin can."))
    if not active and row.is_superuser and not others:
        raise ValidationError(_("The platform keeps at least one admin."))
    row.is_active = active
    row.save(update_fields=["is_active"])
    kind = "user.reactivated" if active else "user.deactivated"
    record(kind=kind, actor=actor, target=row, data={"name": row.username})
    return row


@transaction.atomic
def set_may_create_datasets(*, user: User, allowed: bool, actor: User) -> User:
    """Allow a user to create datasets, or no longer. The platform's admins always may."""
    row = User.objects.select_for_update().get(pk=user.pk)
    if row.may_create_datasets == allowed:
        return row
    row.may_create_datasets = allowed
    row.save(update_fields=["may_create_datasets"])
    kind = "user.creation_allowed" if allowed else "user.creation_withdrawn"
    record(kind=kind, actor=actor, target=row, data={"name": row.username})
    return row


def _keep_an_admin(dataset: Any, user: User) -> None:
    """ValidationError when the user is the dataset's last admin. Locks its admins until the transaction ends."""
    admins = Membership.objects.select_for_update(of=("self",)).filter(dataset=dataset, role=Role.ADMIN)
    ids = set(admins.filter(user__is_active=True).order_by("pk").values_list("user_id", flat=True))
    if ids == {user.pk}:
        raise ValidationError(_("A dataset keeps at least one admin. Make somebody else admin first."))


@transaction.atomic
def set_role(*, dataset: Any, user: User, role: str, actor: User | None) -> Membership:
    """Give a user a role in a dataset, replacing any other.

    ValidationError for an unknown role, and for taking it from the last admin: somebody must be able to let
    people in.
    """
    if role not in Role.values:
        raise ValidationError(_("“%(role)s” is not a role."), params={"role": role})
    if role != Role.ADMIN:
        _keep_an_admin(dataset, user)
    membership, _made = Membership.objects.update_or_create(
        dataset=dataset, user=user, defaults={"role": role}
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
def remove_member(*, dataset: Any, user: User, actor: User | None) -> None:
    """Take a user's role away. ValidationError for the last admin. Nothing happens to a user without a role."""
    _keep_an_admin(dataset, user)
    membership = Membership.objects.select_for_update().filter(dataset=dataset, user=user).first()
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
