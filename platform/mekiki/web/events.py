"""The audit log in words. A kind of event this table does not know is shown by its own name: nothing is hidden."""

from collections.abc import Callable
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from mekiki.audit.models import Event
from mekiki.jobs.models import Kind
from mekiki.learning import reasons
from mekiki.review.models import Decision

# Groups of kinds for the filter of the activity page: code → beginnings of kinds.
GROUPS: dict[str, tuple[str, ...]] = {
    "answers": ("decision.", "audit."),
    "learning": ("head.", "training.", "schedule.", "queue."),
    "schema": ("label.", "prompts."),
    "data": ("dataset.", "images.", "import.", "label_set."),
    "people": ("member.", "user."),
    "jobs": ("job.",),
}


def group_label(code: str) -> str:
    """The filter's words for a group."""
    return {
        "answers": _("Answers"),
        "learning": _("Heads and training"),
        "schema": _("Labels and prompts"),
        "data": _("Images and label sets"),
        "people": _("Members"),
        "jobs": _("Jobs"),
    }[code]


def sentence(event: Event) -> str:
    """What happened, in the reader's language."""
    tell = _SENTENCES.get(event.kind)
    return tell(event.data) if tell else event.kind


def detail(event: Event) -> str:
    """The rest that was recorded, in short: numbers and names."""
    data: dict[str, Any] = event.data
    if event.kind in {"training.finished", "head.promoted"} and data.get("reason"):
        return reasons.sentence(data["reason"])
    if event.kind == "images.imported":
        return _("%(added)s added, %(duplicates)s already there, %(rejected)s refused") % {
            "added": data.get("added", 0),
            "duplicates": data.get("duplicates", 0),
            "rejected": data.get("rejected", 0),
        }
    if data.get("error"):
        return str(data["error"])
    return str(data.get("note") or data.get("name") or "")


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
    return _("%(user)s is %(role)s now") % {"user": data.get("user", ""), "role": _(data.get("role", ""))}


def _removed(data: dict[str, Any]) -> str:
    return _("%(user)s is no member any more") % {"user": data.get("user", "")}


_SENTENCES: dict[str, Callable[[dict[str, Any]], str]] = {
    "dataset.created": _plain(gettext_noop("Dataset created")),
    "dataset.archived": _plain(gettext_noop("Dataset archived")),
    "dataset.settings_changed": _plain(gettext_noop("Settings changed")),
    "dataset.retrain_every_set": _plain(gettext_noop("Answers until the next training changed")),
    "images.imported": _plain(gettext_noop("Images imported")),
    "import.discarded": _plain(gettext_noop("Upload discarded")),
    "label.added": _plain(gettext_noop("Label added")),
    "label.changed": _plain(gettext_noop("Label changed")),
    "label.archived": _plain(gettext_noop("Label archived")),
    "label.reordered": _plain(gettext_noop("Labels put in another order")),
    "prompts.saved": _plain(gettext_noop("Prompts saved")),
    "decision.recorded": _decision,
    "audit.retired": _plain(gettext_noop("Audit labels retired into training")),
    "queue.filled": _plain(gettext_noop("Images chosen for review")),
    "training.requested": _plain(gettext_noop("Training asked for")),
    "training.finished": _plain(gettext_noop("Training finished")),
    "head.trained": _plain(gettext_noop("Head trained")),
    "head.promoted": _plain(gettext_noop("Head put into use")),
    "schedule.set": _plain(gettext_noop("Schedule of training set")),
    "schedule.cleared": _plain(gettext_noop("Schedule of training switched off")),
    "label_set.requested": _plain(gettext_noop("Label set asked for")),
    "label_set.frozen": _plain(gettext_noop("Label set frozen")),
    "label_set.downloaded": _plain(gettext_noop("Label set downloaded")),
    "member.role_set": _role,
    "member.removed": _removed,
    "user.created": _plain(gettext_noop("User created")),
    "job.queued": _job(gettext_noop("asked for")),
    "job.succeeded": _job(gettext_noop("done")),
    "job.failed": _job(gettext_noop("failed")),
    "job.cancelled": _job(gettext_noop("cancelled")),
    "job.cancel_requested": _plain(gettext_noop("Asked to stop a job")),
}
