"""Services that add, use and remove second factors. Each service records an event."""

import hmac
import logging
import unicodedata
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal import auth as totp
from allauth.mfa.webauthn.internal.auth import WebAuthn
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from mekiki.accounts import notices
from mekiki.accounts.access import require_platform_admin
from mekiki.accounts.models import SiteSettings, User
from mekiki.accounts.second_factor import sealing, selectors
from mekiki.accounts.sign_on.selectors import can_sign_on, has_other_way_in
from mekiki.audit.services import record
from mekiki.config import clock

log = logging.getLogger(__name__)
MAX_PASSKEYS = 20
NAME_LENGTH = 60


def normalize_code(text: str) -> str:
    """Return an entered code without blanks and hyphens, and with half-width digits."""
    return "".join(c for c in unicodedata.normalize("NFKC", text) if c.isalnum())[:40]


def time_step_of(secret: str, code: str) -> int | None:
    """Return the time step of this code of an authenticator app, or None if the code is wrong."""
    steps = totp.yield_hotp_counters_from_time()
    right = [n for n in steps if hmac.compare_digest(_shown(secret, n), code.encode())]
    return right[-1] if right else None


def _shown(secret: str, step: int) -> bytes:
    return totp.format_hotp_value(totp.hotp_value(secret, step)).encode()


@transaction.atomic
def use_code(*, user: User, code: str) -> Authenticator | None:
    """Use up a code of the authenticator app or a recovery code. Return its factor, or None if wrong.

    No code can be used twice. Rows are locked, and a code of an app is refused if its time step is not later
    than the last used step.
    """
    given = normalize_code(code)
    if not given:
        return None
    rows = Authenticator.objects.select_for_update().filter(user_id=user.pk)
    for row in rows.exclude(type=Authenticator.Type.WEBAUTHN).order_by("-type"):  # the app first
        try:
            right = (
                _use_app_code(row, given)
                if row.type == Authenticator.Type.TOTP
                else RecoveryCodes(row).validate_code(given)
            )
        except sealing.Unreadable:
            log.error(
                "The second factor %s of user %s cannot be read: the secret key has changed.", row.pk, user.pk
            )
            continue
        if right:
            row.refresh_from_db(fields=["data"])
            if row.type == Authenticator.Type.RECOVERY_CODES:
                left = len(RecoveryCodes(row).get_unused_codes())
                record(kind="user.recovery_code_used", actor=user, target=user, data={"left": left})
            return row
    return None


def _use_app_code(row: Authenticator, code: str) -> bool:
    step = time_step_of(sealing.decrypt(row.data["secret"]), code)
    if step is None or step <= row.data.get("last_step", -1):
        return False
    row.data["last_step"] = step
    row.last_used_at = clock.now()
    row.save(update_fields=["data", "last_used_at"])
    return True


@transaction.atomic
def add_app(*, user: User, secret: str, code: str) -> list[str]:
    """Add the authenticator app that shows this code. Return new recovery codes.

    The list is empty if the user already has recovery codes. Raises ValidationError if the code is wrong or
    the user already has an app.
    """
    _lock(user)
    if Authenticator.objects.filter(user_id=user.pk, type=Authenticator.Type.TOTP).exists():
        raise ValidationError(_("You have an authenticator app already. Remove it before you add another."))
    step = time_step_of(secret, normalize_code(code))
    if step is None:
        raise ValidationError(
            _(
                "The code is wrong or too old. Nothing was saved. Type the code that the app shows now; "
                "if it is refused again, check the clock of the phone."
            ),
            code="wrong_code",
        )
    row = totp.TOTP.activate(user, secret).instance
    row.data["last_step"] = step
    row.save(update_fields=["data"])
    record(kind="user.app_added", actor=user, target=user)
    notices.notify_user(user, "user.app_added")
    return _first_codes(user)


@transaction.atomic
def add_passkey(*, user: User, name: str, credential: dict[str, Any], alone: bool) -> list[str]:
    """Add a passkey after its registration was checked. Return new recovery codes.

    The list is empty if the user already has recovery codes. With `alone`, the passkey logs in without a
    password. Raises ValidationError if the user has too many passkeys.
    """
    _lock(user)
    if len(selectors.factors_of(user).passkeys) >= MAX_PASSKEYS:
        raise ValidationError(
            _("You have %(n)d passkeys. The new one was not saved. Remove one first.") % {"n": MAX_PASSKEYS}
        )
    row = WebAuthn.add(user, name[:NAME_LENGTH], credential).instance
    row.data["alone"] = alone
    row.save(update_fields=["data"])
    record(
        kind="user.passkey_added", actor=user, target=user, data={"name": row.data["name"], "alone": alone}
    )
    notices.notify_user(user, "user.passkey_added")
    return _first_codes(user)


@transaction.atomic
def rename_passkey(*, user: User, passkey: Authenticator, name: str) -> None:
    """Give a passkey of the user another name."""
    row = Authenticator.objects.select_for_update().get(pk=passkey.pk, user_id=user.pk)
    before, row.data["name"] = row.data["name"], name[:NAME_LENGTH]
    row.save(update_fields=["data"])
    record(
        kind="user.passkey_renamed", actor=user, target=user, data={"from": before, "to": row.data["name"]}
    )


@transaction.atomic
def make_recovery_codes(*, user: User) -> list[str]:
    """Return new recovery codes. The old codes stop working.

    Raises ValidationError if the user has no second factor.
    """
    _lock(user)
    if not selectors.has_second_factor(user):
        raise ValidationError(_("Recovery codes replace a second factor. Set up an app or a passkey first."))
    Authenticator.objects.filter(user_id=user.pk, type=Authenticator.Type.RECOVERY_CODES).delete()
    record(kind="user.recovery_codes_made", actor=user, target=user)
    notices.notify_user(user, "user.recovery_codes_made")
    return RecoveryCodes.activate(user).get_unused_codes()


def _first_codes(user: User) -> list[str]:
    if Authenticator.objects.filter(user_id=user.pk, type=Authenticator.Type.RECOVERY_CODES).exists():
        return []
    record(kind="user.recovery_codes_made", actor=user, target=user)
    return RecoveryCodes.activate(user).get_unused_codes()


@transaction.atomic
def remove(*, user: User, factor: Authenticator) -> None:
    """Remove an app or a passkey of the user. The recovery codes are removed with the last factor.

    Raises ValidationError for the last second factor of an admin on a site where admins need one, and for a
    user's only way to log in.
    """
    _lock(user)
    row = Authenticator.objects.get(pk=factor.pk, user_id=user.pk, type__in=selectors.FACTORS)
    if row.data.get("alone") and not has_other_way_in(user, but=row) and not can_sign_on(user):
        raise ValidationError(
            _(
                "This passkey is your only way to log in. It was not removed. Add another passkey that logs "
                "in alone first, or ask an admin of the platform for a password."
            ),
            code="only_way",
        )
    others = Authenticator.objects.filter(user_id=user.pk, type__in=selectors.FACTORS).exclude(pk=row.pk)
    if not others.exists():
        if selectors.is_required_for_admins() and selectors.is_any_admin(user):
            raise ValidationError(
                _("Admins need a second factor here. It was not removed. Add another one first."),
                code="required",
            )
        Authenticator.objects.filter(user_id=user.pk, type=Authenticator.Type.RECOVERY_CODES).delete()
    if row.type == Authenticator.Type.TOTP:
        record(kind="user.app_removed", actor=user, target=user)
        notices.notify_user(user, "user.app_removed")
    else:
        record(kind="user.passkey_removed", actor=user, target=user, data={"name": row.data["name"]})
        notices.notify_user(user, "user.passkey_removed")
    row.delete()


@transaction.atomic
def reset(*, user: User, actor: User | None, source: str = "admin") -> int:
    """Remove all second factors and recovery codes of a user. Return how many were removed.

    It is for a user who has lost them. `actor` is another admin of the platform, or None for the command on
    the server. Raises PermissionDenied for other users, and ValidationError if `actor` is the user.
    """
    if actor is not None:
        require_platform_admin(actor)
        if actor.pk == user.pk:
            raise ValidationError(_("Remove your own second factors on your account’s page."))
    _lock(user)
    removed, _rows = Authenticator.objects.filter(user_id=user.pk).delete()
    if removed:
        data = {"name": user.username, "removed": removed, "source": source}
        record(kind="user.factors_reset", actor=actor, target=user, data=data)
        notices.notify_user(user, "user.factors_reset")
    return removed


@transaction.atomic
def set_required(*, required: bool, user: User) -> None:
    """Require a second factor of every admin of the platform and of datasets, or stop requiring it.

    Raises PermissionDenied if the user is not an admin of the platform. Raises ValidationError if the user
    has no second factor, because the rule would lock this user out first.
    """
    require_platform_admin(user)
    if required and not selectors.has_second_factor(user):
        raise ValidationError(
            _("You have no second factor yourself. Nothing was changed. Set one up first, then require it."),
            code="own_factor_missing",
        )
    SiteSettings.objects.get_or_create(pk=SiteSettings.ONLY)
    row = SiteSettings.objects.select_for_update().get(pk=SiteSettings.ONLY)
    if row.second_factor_required == required:
        return
    row.second_factor_required = required
    row.save(update_fields=["second_factor_required"])
    kind = "site.second_factor_required" if required else "site.second_factor_optional"
    record(kind=kind, actor=user, target=row)


def _lock(user: User) -> None:
    """Lock the second factors of this user against other changes until the transaction ends."""
    User.objects.select_for_update().get(pk=user.pk)
