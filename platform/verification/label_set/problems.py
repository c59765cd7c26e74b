"""The problems that a check of a label set can report."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from verification.label_set.messages import PROBLEMS
from verification.sentences import fill

MAX_PROBLEMS = 50


@dataclass(frozen=True)
class Problem:
    """A fault of a label set: a code of PROBLEMS and its values."""

    code: str
    detail: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the sentence in English."""
        return fill(PROBLEMS[self.code], self.detail)


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
