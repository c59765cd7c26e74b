"""The findings of a check of seals."""

from dataclasses import dataclass, field
from typing import Any

from verification.messages import FINDINGS
from verification.sentences import fill

MOST = 100


@dataclass(frozen=True)
class Finding:
    """One difference from the sealed state: a code of FINDINGS and its values."""

    code: str
    detail: dict[str, str] = field(default_factory=dict)

    def sentence(self) -> str:
        """Return the sentence in English."""
        return fill(FINDINGS[self.code], self.detail)

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
