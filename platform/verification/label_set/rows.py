"""The check of a row of labels.jsonl: each label must show who set it, when, and what was shown."""

import re
from dataclasses import dataclass, field
from typing import Any

from verification.label_set import format as form
from verification.sentences import gettext_noop

_HASH = re.compile(r"[0-9a-f]{64}\Z")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z\Z")


@dataclass
class Books:
    """The contents of schema.json and heads.json, which rows are compared with.

    The fields are empty if the files are unreadable.
    """

    labels: dict[int, tuple[str, bool]] = field(default_factory=dict)  # id: (name, critical)
    prompt_sets: dict[int, str] = field(default_factory=dict)  # version: digest
    heads: dict[int, dict[str, Any]] = field(default_factory=dict)  # version: its entry

    def take(self, name: str, value: dict[str, Any]) -> None:
        """Read one of the two files.

        Raises KeyError, TypeError or AttributeError if it has another structure.
        """
        if name == form.SCHEMA:
            self.labels = {label["id"]: (label["name"], label["critical"]) for label in value["labels"]}
            self.prompt_sets = {s["version"]: s["digest"] for s in value["prompt_sets"]}
        else:
            self.heads = {head["version"]: dict(head) for head in value["heads"]}


def _is(value: Any, kind: type | tuple[type, ...]) -> bool:
    """Return isinstance(value, kind), but do not accept a boolean as a number."""
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _probability(value: Any) -> bool:
    return _is(value, (int, float)) and 0 <= value <= 1


@dataclass(frozen=True)
class Rules:
    """What the manifest says about all rows.

    threshold: of the uncertified labels set by machine. certificate: the number of the certificate that set
    the other ones. version: the format version.
    """

    threshold: float | None = None
    certificate: int | None = None
    version: int = form.FORMAT_VERSION

    @property
    def kind(self) -> str:
        """The source of the rows that are set by machine."""
        if self.version < 4:
            return form.MACHINE
        return form.UNCERTIFIED if self.certificate is None else form.CERTIFIED

    @classmethod
    def from_manifest(cls, manifest: dict[str, Any]) -> "Rules":
        """Return the rules. Raises ValueError, KeyError or TypeError if the manifest contradicts itself."""
        version, threshold = manifest["format_version"], manifest["machine_threshold"]
        if version < 4:
            return cls(threshold, None, version)
        machine = manifest["machine_labels"]
        rules = cls(threshold, machine["certificate"], version)
        certified = rules.certificate is not None
        if machine["kind"] != rules.kind or certified == (threshold is not None):
            raise ValueError
        if certified and type(rules.certificate) is not int:
            raise TypeError
        return rules


def row_faults(row: dict[str, Any], books: Books, rules: Rules) -> list[str]:
    """Return the faults of a row that has all fields, as ends of sentences. Empty if it is valid."""
    faults = []
    if not (_is(row["image_sha256"], str) and _HASH.match(row["image_sha256"])):
        faults.append(gettext_noop("image_sha256 is no SHA-256"))
    if not (_is(row["file_name"], str) and isinstance(row["metadata"], dict)):
        faults.append(gettext_noop("file_name or metadata is missing"))
    if books.labels.get(row["label_id"]) != (row["label"], row["critical"]):
        faults.append(gettext_noop("its label is not one of schema.json"))
    if not (_is(row["opinions"], int) and row["opinions"] >= 0):
        faults.append(gettext_noop("opinions is no number"))
    name = row["image_file"]
    if name is not None and not name.startswith(f"images/{row['image_sha256']}."):
        faults.append(gettext_noop("image_file is not its image's"))
    faults.extend(_origin(row, books))
    if row["source"] == form.HUMAN:
        faults.extend(_human(row, form.decision_kinds(rules.version)))
    elif row["source"] == rules.kind:
        faults.extend(_machine(row, books, rules))
    else:
        faults.append(gettext_noop("its source is none that the manifest names"))
    by_certificate = row["source"] == form.CERTIFIED
    if row.get("certificate") != (rules.certificate if by_certificate else None):
        faults.append(gettext_noop("it names another certificate than the manifest"))
    return faults


def _origin(row: dict[str, Any], books: Books) -> list[str]:
    """Return the faults of head, prompt set and encoder: the label set must know them and their digests."""
    faults = []
    head, prompts, encoder = row["head"], row["prompt_set"], row["encoder"]
    if head is None:
        if prompts is not None or encoder is not None:
            faults.append(gettext_noop("it names prompts or an encoder but no head"))
        return faults
    known = books.heads.get(head["version"])
    if known is None or known["digest"] != head["digest"]:
        faults.append(gettext_noop("its head is not one of heads.json"))
    elif known["prompt_set"] != prompts["version"] or known["encoder"] != encoder:
        faults.append(gettext_noop("its prompt set or encoder is not that of its head"))
    if books.prompt_sets.get(prompts["version"]) != prompts["digest"]:
        faults.append(gettext_noop("its prompt set is not one of schema.json"))
    return faults


def _human(row: dict[str, Any], kinds: tuple[str, ...]) -> list[str]:
    """Return the faults of a person's label: who, when, which decision, how it was drawn, what was shown."""
    faults = []
    if not (_is(row["reviewer"], str) and row["reviewer"]):
        faults.append(gettext_noop("the reviewer is missing"))
    if not (_is(row["decided_at"], str) and _TIME.match(row["decided_at"])):
        faults.append(gettext_noop("the time of the decision is missing"))
    if not (_is(row["decision_id"], int) and row["decision_kind"] in kinds):
        faults.append(gettext_noop("the decision is missing"))
    if not (_is(row["late"], bool) and _is(row["opinions"], int) and row["opinions"] >= 1):
        faults.append(gettext_noop("late or opinions is missing"))
    if row["stream"] not in form.STREAMS:
        faults.append(gettext_noop("the stream it was drawn from is missing"))
    if not (_probability(row["propensity"]) and row["propensity"] > 0):
        faults.append(gettext_noop("the probability with which it was drawn is missing"))
    shown = row["shown"]
    if not _is(row["blind"], bool):
        faults.append(gettext_noop("it does not say whether the prediction was hidden"))
    elif row["blind"] and shown is not None:
        faults.append(gettext_noop("the image was judged blind, but a prediction is recorded as shown"))
    if shown is not None:
        if not (
            _probability(shown["confidence"]) and _is(shown["calibrated"], bool) and _is(shown["label"], str)
        ):
            faults.append(gettext_noop("what was shown is incomplete"))
        if row["head"] is None:
            faults.append(gettext_noop("a prediction was shown, but no head is named"))
    if row["decision_kind"] == "confirm" and (shown is None or shown["label_id"] != row["label_id"]):
        faults.append(gettext_noop("it confirms another label than the one shown"))
    if row["confidence"] is not None:
        faults.append(gettext_noop("a person's label has no confidence"))
    if "sealed" in row:
        faults.extend(_sealed(row))
    return faults


def _sealed(row: dict[str, Any]) -> list[str]:
    """Return the faults of the sealed record: it must agree with what the row says about the screen."""
    sealed, shown = row["sealed"], row["shown"]
    if tuple(sealed) != form.SEALED or not isinstance(sealed["shown"], dict):
        return [gettext_noop("the sealed record of its decision is incomplete")]
    if row["decision_kind"] == form.RULING and not sealed["note_sha256"]:
        return [gettext_noop("the ruling has no reason")]
    seen = sealed["shown"]
    blind = bool(seen.get("blind"))
    expected = None
    if not blind and seen.get("label") is not None:
        expected = {
            "label": seen.get("label_name"),
            "label_id": seen["label"],
            "confidence": seen.get("confidence"),
            "calibrated": bool(seen.get("calibrated")),
        }
    same = all(seen.get(name) in (None, row[name]) for name in ("stream", "propensity"))
    if row["blind"] != blind or shown != expected or not same:
        return [gettext_noop("its record of the screen differs from the sealed record of its decision")]
    return []


def _machine(row: dict[str, Any], books: Books, rules: Rules) -> list[str]:
    """Return the faults of a machine's label.

    It must be allowed and not critical. Without a certificate it must also be confident enough, and from a
    calibrated head.
    """
    faults = []
    if rules.certificate is not None:
        if not _probability(row["confidence"]):
            faults.append(gettext_noop("its confidence is no probability"))
    elif rules.threshold is None:
        faults.append(gettext_noop("the label set was frozen without machine labels"))
    elif not (_probability(row["confidence"]) and row["confidence"] >= rules.threshold):
        faults.append(gettext_noop("its confidence is below the threshold"))
    if row["critical"]:
        faults.append(gettext_noop("a critical label is never set by a machine"))
    if row["head"] is None:
        faults.append(gettext_noop("the head is missing"))
    elif rules.certificate is None and not books.heads.get(row["head"]["version"], {}).get("calibrated"):
        faults.append(gettext_noop("its head was not calibrated"))
    empty = (
        "reviewer",
        "decided_at",
        "decision_id",
        "decision_kind",
        "late",
        "stream",
        "propensity",
        "blind",
        "shown",
    )
    if any(row[name] is not None for name in empty) or row.get("sealed") is not None:
        faults.append(gettext_noop("a machine's label has no reviewer and no decision"))
    return faults
