"""The problems that a check of a label set can report, as sentences."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from verification.messages import gettext_noop

MAX_PROBLEMS = 50
SENTENCES = {
    "unreadable": gettext_noop("The file cannot be read: %(why)s."),
    "not_ours": gettext_noop("This is not a label set as Mekiki wrote it: %(why)s."),
    "duplicate": gettext_noop("The zip holds %(name)s more than once."),
    "missing": gettext_noop("%(name)s is missing from the zip."),
    "extra": gettext_noop("%(name)s is in the zip, but the manifest does not name it."),
    "broken": gettext_noop("%(name)s cannot be unpacked: it is damaged."),
    "too_dense": gettext_noop("%(name)s would unpack to an implausible size and was not read."),
    "size": gettext_noop("%(name)s has %(found)s bytes; the manifest says %(expected)s."),
    "hash": gettext_noop("%(name)s was changed: its SHA-256 is not the one in the manifest."),
    "manifest": gettext_noop("The manifest is not valid: %(why)s."),
    "key": gettext_noop("The public key in the zip is not an Ed25519 key."),
    "signature": gettext_noop(
        "The signature does not fit the manifest: it was changed, or signed by another key."
    ),
    "other_key": gettext_noop(
        "The label set was signed by another key than the one you gave: its fingerprint is %(fingerprint)s."
    ),
    "contents": gettext_noop("%(name)s does not hold what it should: %(why)s."),
    "row": gettext_noop("Row %(row)s of labels.jsonl: %(why)s."),
    "order": gettext_noop("Row %(row)s of labels.jsonl is out of order, or its image occurs twice."),
    "table": gettext_noop("Row %(row)s of labels.csv does not agree with labels.jsonl."),
    "image": gettext_noop("Row %(row)s of labels.jsonl names an image file that is not in the zip."),
    "keys": gettext_noop("keys.json does not hold what it should: %(why)s."),
    "seals": gettext_noop("seals.jsonl does not hold what it should: %(why)s."),
    "unsealed": gettext_noop("Row %(row)s of labels.jsonl: its decision has no place under a seal."),
    "seal_signature": gettext_noop("Seal %(seal)s is not signed by one of the keys in keys.json."),
    "seal_rows": gettext_noop(
        "The decisions under seal %(seal)s are not what was sealed: one of them was changed, or is missing."
    ),
    "seal_log": gettext_noop("Seal %(seal)s does not lead to the root over all seals."),
    "count": gettext_noop("The manifest says %(expected)s %(what)s, but there are %(found)s."),
    "more": gettext_noop("There are more problems; the first %(shown)s are shown."),
}

OPENING = {
    errno.ENOENT: gettext_noop("it does not exist"),
    errno.EACCES: gettext_noop("this user may not read it"),
}


@dataclass(frozen=True)
class Problem:
    """A fault of a label set. `code` selects a sentence, and `detail` fills it."""

    code: str
    detail: dict[str, str] = field(default_factory=dict)

    def sentence(self, translate: Callable[[str], str] = str) -> str:
        """Return the sentence for a person, without control characters.

        A file from outside must not send control characters to a terminal.
        """
        values = {k: translate(v) if k == "why" and v else v for k, v in self.detail.items()}
        shown = {k: "".join(c if c.isprintable() else "�" for c in v[:300]) for k, v in values.items()}
        return translate(SENTENCES[self.code]) % shown

    def __str__(self) -> str:
        return self.sentence()


@dataclass
class VerifyReport:
    """The result of a verification. `ok` is true if there is no problem.

    `summary` holds statements of the manifest. They are reliable only if `ok` is true. Its keys are dataset,
    version, frozen_at, frozen_by, counts, accuracy, fingerprint and pinned. `pinned` is true if the key was
    compared with a key from outside.
    """

    problems: list[Problem] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether there are no problems."""
        return not self.problems


class EnoughError(Exception):
    """An error that stops the check: nothing more can be checked, or there are too many problems."""
