"""Audit events as sentences. An event of an unknown kind is shown by the name of its kind, not hidden."""

from collections.abc import Callable
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Q
from django.template.defaultfilters import filesizeformat
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from mekiki.audit.models import Event
from mekiki.datasets.models import MetadataField
from mekiki.jobs.errors import translate_stored_text
from mekiki.learning import reasons, repeating
from mekiki.review.blinding import neutral_name
from mekiki.web.messages import EVENT_NAMES, EVENTS, JOB_ACTS

# Groups of event kinds for the filter of the activity page: code → prefixes of kinds.
GROUPS: dict[str, tuple[str, ...]] = {
    "answers": ("decision.", "audit."),
    "learning": ("head.", "encoder.", "training.", "schedule.", "queue."),
    "certificates": ("certificate.",),
    "schema": ("label.", "prompts.", "schema.", "reference_image.", "gold_image."),
    "quality": ("study.",),
    "data": (
        "dataset.", "image.", "images.", "import.", "folder.", "labels.", "imported_label.",
        "imported_labels.", "metadata_field.", "near_duplicates.", "view.", "window.", "label_set.",
    ),
    "people": ("member.", "user.", "requalification."),
    "site": ("site.",),
    "seals": ("seal.", "seals.", "signing_key."),
    "jobs": ("job.",),
}  # fmt: skip
# Prefixes of kinds that belong to no dataset.
PLATFORM_ONLY = ("user.", "site.", "seal.", "seals.", "signing_key.")

# Kinds that record the client: their details show its address and browser.
_KINDS_WITH_CLIENT = {
    "user.logged_in", "user.logged_out", "user.login_failed", "user.login_slowed", "user.login_refused",
    "user.second_step_failed", "user.confirmed", "user.sessions_ended", "user.sign_on_failed",
    "user.sign_on_cancelled", "user.sign_on_linked", "user.sign_on_unlinked", "user.created_at_sign_on",
    "user.reset_requested", "user.password_reset_by_mail",
}  # fmt: skip

# Values of sentences that older events lack.
_DEFAULTS = {"kind": "", "left": 0}


def group_label(code: str) -> str:
    """Return the label of a group in the filter."""
    return {
        "answers": _("Answers"),
        "learning": _("Heads and training"),
        "certificates": _("Certificates"),
        "schema": _("Labels and prompts"),
        "quality": _("Quality"),
        "data": _("Images and label sets"),
        "people": _("People"),
        "site": _("Site"),
        "seals": _("Seals and keys"),
        "jobs": _("Jobs"),
    }[code]


def sentence(event: Event) -> str:
    """Return what happened, in the language of the request."""
    return EVENTS.render(event.kind, _DEFAULTS | event.data) if event.kind in EVENTS else event.kind


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
    if event.kind == "metadata_field.changed":
        names = dict(MetadataField.Type.choices)
        before, after = (names.get(data.get(side, ""), "") for side in ("before", "after"))
        return f"{data.get('name', '')}: {before} → {after}"
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
    if event.kind in _KINDS_WITH_CLIENT:
        return _client(data)
    if event.kind == "queue.sent":
        return f"{neutral_name(data.get('image', ''))} → {data.get('to', '')}"
    if event.kind in {"queue.put_back", "queue.asked_again", "queue.set_aside"} and data.get("image"):
        return neutral_name(data["image"])  # the file name could reveal a label before the audit
    if data.get("error"):
        return translate_stored_text(data["error"])
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
    return f"{change}: {translate_stored_text(data['error'])}" if data.get("error") else change


def kind_condition(choice: str) -> Q | None:
    """Return the condition on events for a filter value: the code of a group or one kind.

    Return None for any other value.
    """
    if choice in GROUPS:
        # Matching by prefix also includes kinds without a sentence in their group.
        return reduce(or_, (Q(kind__startswith=beginning) for beginning in GROUPS[choice]))
    return Q(kind=choice) if choice in EVENTS else None


def kind_label(kind: str) -> str:
    """Return the label of a kind of event, without the data of a single event."""
    if kind in EVENT_NAMES:
        return EVENT_NAMES.render(kind)
    if kind in JOB_ACTS:
        return _("Job: %(what)s") % {"what": JOB_ACTS.render(kind)}
    return EVENTS.render(kind, _DEFAULTS)


def filter_choices(*, with_users: bool) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Return the choices of the filter: (group, its label, [(kind, its label)…]).

    Events about users belong to no dataset and are included only with `with_users`.
    """
    options = []
    for group, beginnings in GROUPS.items():
        kinds = [
            k for k in EVENTS if k.startswith(beginnings) and (with_users or not k.startswith(PLATFORM_ONLY))
        ]
        options.append((group, group_label(group), [(kind, kind_label(kind)) for kind in kinds]))
    return options
