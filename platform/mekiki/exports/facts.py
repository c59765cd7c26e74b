"""Statements about a label set in its page, manifest and README: accuracy and critical labels."""

from collections.abc import Iterable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

from django.db.models import Count
from django.utils import timezone
from django.utils.translation import get_language, ngettext, override
from django.utils.translation import gettext as _

from mekiki.exports.models import LabelSetEntry
from mekiki.labeling.models import Label
from mekiki.learning.accuracy import (
    COUNT_COLUMNS,
    AuditCounts,
    AuditedEstimate,
    all_notes,
    headline,
    support_sentence,
)
from mekiki.learning.figures import count


def accuracy_facts(stated: dict[str, Any], now: AuditCounts) -> dict[str, Any] | None:
    """Return headline, support and notes of a label set's stated accuracy, or None if it claims none.

    `stated` is the object of the manifest. `now` holds the audit counts of the dataset at present. They show
    what has left the sample since.
    """
    if not stated.get("n"):
        return None
    since = stated.get("since_stated", {})
    # An older label set does not hold these counts, so later changes cannot be computed.
    kept = "audited_drawn" in stated
    counts = {name: stated.get(f"audited_{name}", 0) for name in COUNT_COLUMNS}
    estimate = cast(
        AuditedEstimate,
        SimpleNamespace(
            n=stated["n"],
            correct=stated["correct"],
            low=stated["low"],
            high=stated["high"],
            accuracy=stated["estimate"],
            left_out=stated.get("images_left_out", 0),
            near_trained=stated.get("audited_near_trained", 0),
            near_trained_right=stated.get("audited_near_trained_right", 0),
            **{name: n + since.get(name, 0) for name, n in counts.items()},
        ),
    )
    return {
        "headline": headline(estimate),
        "support": support_sentence(estimate),
        "notes": all_notes(estimate, now if kept else None),
    }


def once_critical(labels: Iterable[Label], machine: dict[int, int]) -> list[dict[str, Any]]:
    """Return the labels that were critical once and have machine labels in the set, for the manifest.

    `machine` maps a label id to the number of machine labels.
    """
    return [
        {
            "label": label.name,
            "label_id": label.pk,
            "critical_until": label.critical_until.astimezone(UTC)
            .isoformat(timespec="seconds")
            .replace("+00:00", "Z"),
            "machine_labels": machine[label.pk],
            "statement": {
                language: _was_critical(label, machine[label.pk], language) for language in ("en", "ja")
            },
        }
        for label in labels
        if label.critical_until is not None and machine.get(label.pk)
    ]


def _was_critical(label: Label, machine: int, language: str) -> str:
    # Times are in UTC, so that the file does not depend on the time zone of the server.
    with override(language), timezone.override(UTC):
        return ngettext(
            "The label “%(label)s” was critical until %(until)s; "
            "this label set holds %(shown)s machine label of it.",
            "The label “%(label)s” was critical until %(until)s; "
            "this label set holds %(shown)s machine labels of it.",
            machine,
        ) % {"label": label.name, "until": _moment(label.critical_until), "shown": count(machine)}


def once_critical_sentences(facts: Iterable[dict[str, Any]], language: str | None = None) -> list[str]:
    """Return the statements of `once_critical` in a language. The default is the reader's language."""
    chosen = "ja" if (language or get_language() or "en").startswith("ja") else "en"
    return [fact["statement"][chosen] for fact in facts]


def critical_since_sentences(machine: dict[int, int], labels: Iterable[Label]) -> list[str]:
    """Return a sentence for each label that is critical now and has machine labels in a set.

    The sentences are for the page only, because the file was fixed before.
    """
    return [
        ngettext(
            "The label “%(label)s” is marked critical since %(since)s; "
            "this label set holds %(shown)s machine label of it.",
            "The label “%(label)s” is marked critical since %(since)s; "
            "this label set holds %(shown)s machine labels of it.",
            machine[label.pk],
        )
        % {
            "label": label.name,
            "since": _moment(label.critical_since),
            "shown": count(machine[label.pk]),
        }
        for label in labels
        if label.critical and machine.get(label.pk)
    ]


def machine_counts(label_set_id: int) -> dict[int, int]:
    """Return label id → number of its machine labels in a label set."""
    counts: dict[int, int] = {}
    rows = LabelSetEntry.objects.filter(label_set=label_set_id, head_id__isnull=False).order_by()
    for label_id, n in rows.values_list("label_id").annotate(n=Count("position")):
        counts[label_id] = n
    return counts


def _moment(moment: datetime | None) -> str:
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M %Z}" if moment is not None else _("an earlier time")
