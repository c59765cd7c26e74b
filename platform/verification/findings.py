"""The findings of a check of seals, as sentences."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from verification.messages import gettext_noop

MOST = 100
# The names of the sealed tables, for the translation catalogues.
TABLES = (gettext_noop("events"), gettext_noop("decisions"))
SENTENCES = {
    "row_changed": gettext_noop("%(table)s: row %(id)s was changed after seal %(seal)s was made."),
    "row_removed": gettext_noop("%(table)s: row %(id)s of seal %(seal)s was removed."),
    "row_inserted": gettext_noop(
        "%(table)s: row %(id)s was inserted among the rows of seal %(seal)s after the seal was made."
    ),
    "row_moved": gettext_noop(
        "%(table)s: row %(id)s holds what was sealed as row %(other)s (seal %(seal)s): "
        "the rows were re-ordered."
    ),
    "row_order": gettext_noop("%(table)s: row %(id)s is not in the order of the ids."),
    "row_extra": gettext_noop("%(table)s: row %(id)s is in the file, but under no seal of it."),
    "rows_differ": gettext_noop(
        "%(table)s: the rows %(first)s to %(last)s are not what seal %(seal)s was made over. "
        "Which row differs cannot be said, because the hashes kept for the seal were changed too."
    ),
    "leaves": gettext_noop("The hashes kept for the rows of seal %(seal)s are missing or were changed."),
    "seal_missing": gettext_noop("Seal %(seal)s is missing."),
    "seal_changed": gettext_noop("Seal %(seal)s was changed: its signature does not fit."),
    "seal_chain": gettext_noop("Seal %(seal)s does not follow from the seal before it."),
    "seal_range": gettext_noop("Seal %(seal)s covers rows that another seal covers."),
    "seal_table": gettext_noop(
        "Seal %(seal)s is of “%(table)s”, which is unknown here: its rows were not checked."
    ),
    "log_root": gettext_noop("The root over all seals up to seal %(seal)s is another one."),
    "head": gettext_noop(
        "Seal %(seal)s is not the one whose head was given: seals were made again, or are missing."
    ),
    "row_unproven": gettext_noop("%(table)s: the proof does not lead from row %(id)s to seal %(seal)s."),
    "seal_unproven": gettext_noop("The proof does not lead from seal %(seal)s to the head of seal %(head)s."),
    "head_unproven": gettext_noop(
        "The proof does not show that the head of seal %(seal)s is a beginning of the head of seal %(head)s."
    ),
    "head_absent": gettext_noop("The proof says nothing about the head of seal %(seal)s that was given."),
    "key_unknown": gettext_noop("Seal %(seal)s names a key that is not among the keys of the platform."),
    "key_link": gettext_noop("The key %(fingerprint)s replaced another, which did not sign for it."),
    "key_other": gettext_noop(
        "The seals after seal %(seal)s are signed by another key than the one you gave: "
        "its fingerprint is %(fingerprint)s."
    ),
    "time_stamp": gettext_noop("The time stamp of seal %(seal)s by %(authority)s does not fit: %(why)s."),
    "unreadable": gettext_noop("The file cannot be read: %(why)s."),
    "not_ours": gettext_noop("This is not an audit file as Mekiki wrote it: %(why)s."),
    "more": gettext_noop("There are more differences; the first %(shown)s are shown."),
}


@dataclass(frozen=True)
class Finding:
    """One difference from the sealed state. `code` selects a sentence, and `detail` fills it."""

    code: str
    detail: dict[str, str] = field(default_factory=dict)

    def sentence(self, translate: Callable[[str], str] = str) -> str:
        """Return the sentence for a person, without control characters.

        A file from outside must not send control characters to a terminal.
        """
        words = {k: translate(v) if k in {"why", "table"} and v else v for k, v in self.detail.items()}
        shown = {k: "".join(c if c.isprintable() else "�" for c in v[:300]) for k, v in words.items()}
        return translate(SENTENCES[self.code]) % shown

    def as_json(self) -> dict[str, Any]:
        """Return the finding as a JSON object for storage."""
        return {"code": self.code, "detail": self.detail}


class EnoughError(Exception):
    """An error that stops the check because there are more differences than a person can read."""


@dataclass
class CheckReport:
    """The result of a check. `ok` is true if nothing differs. `unsealed` counts rows without a seal."""

    findings: list[Finding] = field(default_factory=list)
    seals: int = 0
    rows: int = 0
    unsealed: int = 0
    time_stamps: int = 0
    pinned: bool = False
    of_proof: bool = False  # the check of a proof (proof_file.py): single rows under one head, not all rows
    head: dict[str, Any] = field(default_factory=dict)  # the newest seal: SealFacts.as_json

    @property
    def ok(self) -> bool:
        """Whether everything is as it was sealed."""
        return not self.findings

    def add(self, code: str, **detail: object) -> None:
        """Add a difference. Raises EnoughError after MOST differences."""
        self.findings.append(Finding(code, {k: str(v) for k, v in detail.items()}))
        if len(self.findings) >= MOST:
            self.findings.append(Finding("more", {"shown": str(MOST)}))
            raise EnoughError
