"""Making users and giving them roles."""

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from mekiki.accounts.models import Membership, Role, User
from mekiki.audit.services import record


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
    """A new person. ValidationError for a taken or malformed name, or a weak password."""
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
    user.save()
    record(kind="user.created", actor=actor, target=user, data={"name": name, "is_admin": is_admin})
    return user


@transaction.atomic
def set_role(*, dataset, user: User, role: str, actor: User | None) -> Membership:
    """Give a user a role in a dataset, replacing any other. ValidationError for an unknown role."""
    if role not in Role.values:
        raise ValidationError(_("“%(role)s” is not a role."), params={"role": role})
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
def remove_member(*, dataset, user: User, actor: User | None) -> None:
    """Take a user's role away. ValidationError for the last admin: somebody must be able to let people in."""
    members = Membership.objects.select_for_update().filter(dataset=dataset)
    membership = members.filter(user=user).first()
    if membership is None:
        return
    if membership.role == Role.ADMIN and members.filter(role=Role.ADMIN).count() == 1:
        raise ValidationError(_("A dataset keeps at least one admin. Make somebody else admin first."))
    record(
        kind="member.removed",
        actor=actor,
        dataset=dataset,
        target=membership,
        data={"user": user.username},
    )
    membership.delete()
