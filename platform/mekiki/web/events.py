"""Audit events as sentences. An event of an unknown kind is shown by the name of its kind, not hidden."""

from collections.abc import Callable
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Q
from django.template.defaultfilters import filesizeformat
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

from mekiki.accounts.models import Role
from mekiki.audit.models import Event
from mekiki.jobs.errors import for_reader
from mekiki.jobs.models import Kind
from mekiki.learning import reasons, repeating
from mekiki.review.blinding import neutral_name
from mekiki.review.models import Decision

# Groups of event kinds for the filter of the activity page: code → prefixes of kinds.
GROUPS: dict[str, tuple[str, ...]] = {
    "answers": ("decision.", "audit."),
    "learning": ("head.", "encoder.", "training.", "schedule.", "queue."),
    "schema": ("label.", "prompts."),
    "data": ("dataset.", "image.", "images.", "import.", "window.", "label_set."),
    "people": ("member.", "user."),
    "site": ("site.",),
    "seals": ("seal.", "seals.", "signing_key."),
    "jobs": ("job.",),
}
# Prefixes of kinds that belong to no dataset.
PLATFORM_ONLY = ("user.", "site.", "seal.", "seals.", "signing_key.")

# Kinds that record the client: their details show its address and browser.
_BY_CLIENT = {
    "user.logged_in", "user.logged_out", "user.login_failed", "user.login_slowed", "user.login_refused",
    "user.second_step_failed", "user.confirmed", "user.sessions_ended", "user.sign_on_failed",
    "user.sign_on_cancelled", "user.sign_on_linked", "user.sign_on_unlinked", "user.created_at_sign_on",
    "user.reset_requested", "user.password_reset_by_mail",
}  # fmt: skip


def group_label(code: str) -> str:
    """Return the label of a group in the filter."""
    return {
        "answers": _("Answers"),
        "learning": _("Heads and training"),
        "schema": _("Labels and prompts"),
        "data": _("Images and label sets"),
        "people": _("People"),
        "site": _("Site"),
        "seals": _("Seals and keys"),
        "jobs": _("Jobs"),
    }[code]


def sentence(event: Event) -> str:
    """Return what happened, in the language of the request."""
    tell = _SENTENCES.get(event.kind)
    return tell(event.data) if tell else event.kind


def detail(event: Event) -> str:
    """Return the further recorded facts in short: numbers and names."""
    data: dict[str, Any] = event.data
    if event.kind in {"training.finished", "head.promoted"} and data.get("reason"):
        return reasons.sentence(data["reason"])
    if event.kind == "images.imported":
        return _("%(added)s added, %(duplicates)s duplicates, %(rejected)s not imported") % {
            "added": data.get("added", 0),
            "duplicates": data.get("duplicates", 0),
            "rejected": data.get("rejected", 0),
        }
    if event.kind == "images.metadata_changed":
        changed = int(data.get("changed", 0))
        return ngettext("%(n)d image", "%(n)d images", changed) % {"n": changed}
    if event.kind.startswith("encoder.") and data.get("to"):
        return _encoders(data)
    if event.kind == "import.limit_reached":
        n = int(data.get("not_stored", 0))
        return ngettext("%(n)d file not stored", "%(n)d files not stored", n) % {"n": n}
    if event.kind in {"dataset.limits_changed", "site.limits_changed"}:
        return _limits(data)
    if event.kind.startswith("window."):
        window = data.get("after") or data
        group = " ".join(str(data[name]) for name in ("camera", "sample") if data.get(name))
        return f"{group}: {window.get('black', 0):.9g} – {window.get('white', 0):.9g}"
    if event.kind == "head.verified":
        return f"#{data.get('version', '')}: {repeating.sentence(data)}"
    if event.kind == "head.chosen":
        return f"#{data.get('version', '')}"
    if event.kind in {"site.time_zone_set", "dataset.address_changed", "user.passkey_renamed"}:
        return f"{data.get('from', '')} → {data.get('to', '')}"
    if event.kind == "seal.head_mailed":
        return f"{data.get('seal', '')} → {data.get('to', '')}"
    if event.kind == "seal.recipients_changed":
        return " → ".join(", ".join(data.get(side, [])) or "–" for side in ("before", "after"))
    if event.kind == "site.mail_failed":
        return f"{data.get('name', '')}: {data.get('why', '')}"
    if event.kind.startswith("signing_key."):
        return f"{data.get('fingerprint', '')[:16]} ({data.get('system_user', '')})"
    if event.kind.endswith(".file_changed"):
        return str(data.get("object", ""))[:16]
    if event.kind in _BY_CLIENT:
        return _client(data)
    if event.kind in {"queue.put_back", "queue.asked_again"} and data.get("image"):
        return neutral_name(data["image"])  # the file name could reveal a label before the audit
    if data.get("error"):
        return for_reader(data["error"])
    if event.kind == "user.name_shared":
        return ""
    return str(data.get("note") or data.get("name") or "")


def _client(data: dict[str, Any]) -> str:
    """Return the account, the address and the browser of an event.

    A name that belongs to no account is not recorded.
    """
    unknown = _("unknown name") if data.get("reason") == "unknown_name" else ""
    parts = (data.get("name") or unknown, data.get("address"), data.get("agent"))
    return " · ".join(str(part) for part in parts if part)


def _limits(data: dict[str, Any]) -> str:
    """Return the limits of images and bytes, from → to."""

    def one(name: str, show: Callable[[Any], str]) -> str:
        sides = [data.get(side, {}).get(name) for side in ("before", "after")]
        return " → ".join(_("no limit") if value is None else show(value) for value in sides)

    images = one("max_images", lambda value: number_format(value, force_grouping=True))
    return _("images: %(images)s; storage: %(size)s") % {
        "images": images,
        "size": one("max_bytes", filesizeformat),
    }


def _encoders(data: dict[str, Any]) -> str:
    """Return the encoders, from → to, and the reason if the change failed.

    Each name has the first characters of its digest if the digest was recorded.
    """

    def one(side: Any) -> str:
        if not isinstance(side, dict):
            return str(side)
        return f"{side['name']} ({side['digest'][:8]})" if side.get("digest") else str(side.get("name", ""))

    change = f"{one(data.get('from', ''))} → {one(data['to'])}"
    return f"{change}: {for_reader(data['error'])}" if data.get("error") else change


def known_kinds() -> set[str]:
    """Return every kind that has a sentence."""
    return set(_SENTENCES)


def matching(choice: str) -> Q | None:
    """Return the condition on events for a filter value: the code of a group or one kind.

    Return None for any other value.
    """
    if choice in GROUPS:
        # Matching by prefix also includes kinds without a sentence in their group.
        return reduce(or_, (Q(kind__startswith=beginning) for beginning in GROUPS[choice]))
    return Q(kind=choice) if choice in _SENTENCES else None


def kind_label(kind: str) -> str:
    """Return the label of a kind of event, without the data of a single event."""
    if kind in _NAMES:
        return _(_NAMES[kind])
    if kind.startswith("job."):
        return _("Job: %(what)s") % {"what": _(_JOBS[kind])}
    return _SENTENCES[kind]({})


def choices(*, with_users: bool) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Return the choices of the filter: (group, its label, [(kind, its label)…]).

    Events about users belong to no dataset and are included only with `with_users`.
    """
    options = []
    for group, beginnings in GROUPS.items():
        kinds = [
            k
            for k in _SENTENCES
            if k.startswith(beginnings) and (with_users or not k.startswith(PLATFORM_ONLY))
        ]
        options.append((group, group_label(group), [(kind, kind_label(kind)) for kind in kinds]))
    return options


def _job(words: str) -> Callable[[dict[str, Any]], str]:
    def tell(data: dict[str, Any]) -> str:
        kind = data.get("kind", "")
        label = Kind(kind).label if kind in Kind.values else _("Job")
        return f"{label}: {_(words)}"

    return tell


def _plain(words: str) -> Callable[[dict[str, Any]], str]:
    return lambda data: _(words)


def _decision(data: dict[str, Any]) -> str:
    kind = data.get("kind", "")
    label = Decision.Kind(kind).label if kind in Decision.Kind.values else kind
    return _("Answer: %(kind)s") % {"kind": label}


def _role(data: dict[str, Any]) -> str:
    role = data.get("role", "")
    label = Role(role).label if role in Role.values else role
    return _("%(user)s is %(role)s now") % {"user": data.get("user", ""), "role": label}


def _name_shared(data: dict[str, Any]) -> str:
    words = _("The user name %(name)s is like another user’s, %(other)s")
    return words % {"name": data.get("name", ""), "other": data.get("other", "")}


def _removed(data: dict[str, Any]) -> str:
    return _("%(user)s is no longer a member") % {"user": data.get("user", "")}


_JOBS = {
    "job.queued": gettext_noop("requested"),
    "job.retried": gettext_noop("tried again"),
    "job.succeeded": gettext_noop("done"),
    "job.failed": gettext_noop("failed"),
    "job.cancelled": gettext_noop("cancelled"),
    "job.cancel_requested": gettext_noop("stop requested"),
}
# Labels of kinds whose sentence needs data of the event.
_NAMES = {
    "decision.recorded": gettext_noop("Answer recorded"),
    "member.role_set": gettext_noop("Role given"),
    "member.removed": gettext_noop("Member removed"),
    "user.name_shared": gettext_noop("User name like another user’s"),
}


def _sign_on_failed(data: dict[str, Any]) -> str:
    """Return the sentence with the reason, a code of accounts/sign_on/failures.py, for site admins."""
    words = _("Single sign-on failed")
    return f"{words} ({data['reason']})" if data.get("reason") else words


def _recovery_code_used(data: dict[str, Any]) -> str:
    left = int(data.get("left", 0))
    words = ngettext("Recovery code used, %(n)d is left", "Recovery code used, %(n)d are left", left)
    return words % {"n": left}


_SENTENCES: dict[str, Callable[[dict[str, Any]], str]] = {
    "dataset.created": _plain(gettext_noop("Dataset created")),
    "dataset.archived": _plain(gettext_noop("Dataset archived")),
    "dataset.address_changed": _plain(gettext_noop("Address of the dataset changed")),
    "dataset.settings_changed": _plain(gettext_noop("Settings changed")),
    "window.estimated": _plain(gettext_noop("Pixel window estimated from images")),
    "window.changed": _plain(gettext_noop("Pixel window changed")),
    "images.imported": _plain(gettext_noop("Images imported")),
    "import.limit_reached": _plain(gettext_noop("A storage limit was reached")),
    "dataset.limits_changed": _plain(gettext_noop("Limits of storage of the dataset changed")),
    "site.limits_changed": _plain(gettext_noop("Limits of storage of the platform changed")),
    "images.metadata_changed": _plain(gettext_noop("Metadata of images changed")),
    "import.discarded": _plain(gettext_noop("Upload discarded")),
    "label.added": _plain(gettext_noop("Label added")),
    "label.changed": _plain(gettext_noop("Label changed")),
    "label.archived": _plain(gettext_noop("Label archived")),
    "label.restored": _plain(gettext_noop("Label restored")),
    "prompts.saved": _plain(gettext_noop("Prompts saved")),
    "decision.recorded": _decision,
    "audit.retired": _plain(gettext_noop("Audit labels retired into training")),
    "queue.filled": _plain(gettext_noop("Images chosen for review")),
    "queue.asked_again": _plain(gettext_noop("New review requested for an image with a confirmed label")),
    "queue.put_back": _plain(gettext_noop("Flagged image returned to the queue")),
    "training.requested": _plain(gettext_noop("Training requested")),
    "training.finished": _plain(gettext_noop("Training finished")),
    "head.trained": _plain(gettext_noop("Head trained")),
    "head.chosen": _plain(gettext_noop("Head chosen manually")),
    "head.promoted": _plain(gettext_noop("Head promoted")),
    "head.verified": _plain(gettext_noop("Training of a head repeated")),
    "encoder.change_requested": _plain(gettext_noop("Change of the encoder requested")),
    "encoder.prepared": _plain(gettext_noop("Encoder prepared")),
    "encoder.change_failed": _plain(gettext_noop("Change of the encoder failed")),
    "encoder.change_cancelled": _plain(gettext_noop("Change of the encoder cancelled")),
    "encoder.switch_requested": _plain(gettext_noop("Switch of the encoder requested")),
    "encoder.switched": _plain(gettext_noop("Encoder switched over")),
    "encoder.take_back_requested": _plain(gettext_noop("Revert to the previous encoder requested")),
    "encoder.taken_back": _plain(gettext_noop("Change of the encoder reverted")),
    "encoder.removal_requested": _plain(gettext_noop("Removal of embeddings requested")),
    "encoder.embeddings_removed": _plain(gettext_noop("Embeddings removed")),
    "schedule.set": _plain(gettext_noop("Schedule of training set")),
    "schedule.cleared": _plain(gettext_noop("Schedule of training switched off")),
    "label_set.requested": _plain(gettext_noop("Label set requested")),
    "label_set.frozen": _plain(gettext_noop("Label set frozen")),
    "label_set.downloaded": _plain(gettext_noop("Label set downloaded")),
    "label_set.file_changed": _plain(
        gettext_noop("File of a label set differs from its frozen content: not delivered")
    ),
    "image.file_changed": _plain(
        gettext_noop("File of an image differs from its imported content: not delivered")
    ),
    "member.role_set": _role,
    "member.removed": _removed,
    "signing_key.made": _plain(gettext_noop("Signing key made")),
    "signing_key.registered": _plain(gettext_noop("Signing key of an older version taken over")),
    "signing_key.rotated": _plain(gettext_noop("Signing key replaced; the key before signed for it")),
    "signing_key.replaced": _plain(gettext_noop("Lost signing key replaced")),
    "seal.time_stamped": _plain(gettext_noop("Time stamp of a seal kept")),
    "seal.head_mailed": _plain(gettext_noop("Head of a seal mailed")),
    "seal.recipients_changed": _plain(gettext_noop("Recipients of the heads of seals changed")),
    "site.mail_failed": _plain(gettext_noop("A mail could not be sent and is not tried again")),
    "seals.differ": _plain(gettext_noop("Rows have changed since they were sealed")),
    "site.time_zone_set": _plain(gettext_noop("Time zone of the site set")),
    "user.created": _plain(gettext_noop("User created")),
    "user.name_shared": _name_shared,
    "user.logged_in": _plain(gettext_noop("Logged in")),
    "user.confirmed": _plain(gettext_noop("Confirmed before a sensitive act")),
    "user.reset_requested": _plain(gettext_noop("Link for a lost password requested")),
    "user.password_reset_by_mail": _plain(gettext_noop("Password changed by a link in a mail")),
    "user.mail_changed": _plain(gettext_noop("Mail address changed")),
    "user.mail_asked": _plain(gettext_noop("Change of the mail address requested")),
    "user.all_sessions_ended": _plain(gettext_noop("All sessions of a user ended by an admin")),
    "user.sessions_ended": _plain(gettext_noop("Other sessions logged out")),
    "user.made_admin": _plain(gettext_noop("Made an admin of the platform")),
    "user.admin_withdrawn": _plain(gettext_noop("No admin of the platform any more")),
    "user.login_refused": _plain(gettext_noop("Login refused")),
    "user.second_step_failed": _plain(gettext_noop("Wrong code or passkey")),
    "user.sign_on_failed": _sign_on_failed,
    "user.sign_on_cancelled": _plain(gettext_noop("Single sign-on cancelled")),
    "user.sign_on_linked": _plain(gettext_noop("Single sign-on linked")),
    "user.sign_on_unlinked": _plain(gettext_noop("Link of single sign-on removed")),
    "user.created_at_sign_on": _plain(gettext_noop("Account made at the first single sign-on")),
    "user.app_added": _plain(gettext_noop("Authenticator app set up")),
    "user.app_removed": _plain(gettext_noop("Authenticator app removed")),
    "user.passkey_added": _plain(gettext_noop("Passkey added")),
    "user.passkey_renamed": _plain(gettext_noop("Passkey renamed")),
    "user.passkey_removed": _plain(gettext_noop("Passkey removed")),
    "user.recovery_codes_made": _plain(gettext_noop("Recovery codes made")),
    "user.recovery_code_used": _recovery_code_used,
    "site.second_factor_required": _plain(gettext_noop("Second factor required of admins")),
    "site.second_factor_optional": _plain(gettext_noop("Second factor no longer required of admins")),
    "user.factors_reset": _plain(gettext_noop("Second factors removed by an admin")),
    "user.logged_out": _plain(gettext_noop("Logged out")),
    "user.login_failed": _plain(gettext_noop("Wrong password")),
    "user.login_slowed": _plain(gettext_noop("Too many wrong passwords: logins are limited for a while")),
    "user.password_changed": _plain(gettext_noop("Own password changed")),
    "user.password_reset": _plain(gettext_noop("Password reset by an admin")),
    "user.deactivated": _plain(gettext_noop("User deactivated")),
    "user.reactivated": _plain(gettext_noop("User reactivated")),
    "user.creation_allowed": _plain(gettext_noop("User may create datasets")),
    "user.creation_withdrawn": _plain(gettext_noop("User may not create datasets any more")),
    **{kind: _job(words) for kind, words in _JOBS.items()},
}
