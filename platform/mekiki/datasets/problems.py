"""Lines of an import's report: a code of messages.PROBLEMS with its values, and the outcome for the file.

OUTCOMES gives the outcome of a code. A code that is not in OUTCOMES means that the file was refused.
"""

from dataclasses import dataclass, field
from typing import Any

from mekiki.datasets.messages import PROBLEMS


class ProblemError(Exception):
    """One line of the report, raised or passed on.

    `code` is a code of PROBLEMS, and `detail` holds its values. Raises TypeError if a value is no JSON
    scalar.
    """

    def __init__(self, code: str, **detail: Any) -> None:
        super().__init__(code)
        PROBLEMS.check(code, detail)
        self.code = code
        self.detail = detail

    @property
    def outcome(self) -> str:
        """Return the result for the file: a value of ImportProblem.Outcome."""
        return OUTCOMES.get(self.code, "refused")


@dataclass(frozen=True)
class Note:
    """A line of the report about a file that was accepted or skipped.

    `outcome` is a value of ImportProblem.Outcome. Raises TypeError if a value is no JSON scalar.
    """

    code: str
    outcome: str  # "partly", "skipped" or "noted"
    detail: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        PROBLEMS.check(self.code, self.detail)


@dataclass(frozen=True)
class Explanation:
    """What happened to a file, and what to do about it."""

    what: str
    advice: str


# code → outcome of a file that was not refused: "partly", "skipped" or "noted"
OUTCOMES: dict[str, str] = {
    "duplicate": "skipped",
    "more_not_listed": "noted",
    "metadata_invalid": "partly",
    "metadata_too_much": "partly",
    # The picture lacks a part of the file, or it is complete and somebody should check it.
    "frames_left_out": "partly",
    "pages_left_out": "partly",
    "pictures_left_out": "partly",
    "channels_left_out": "partly",
    "profile_ignored": "noted",
    "values_clipped": "noted",
    "no_values": "noted",
}

# Codes for files that were not stored because of a limit that an admin of the platform has set.
FULL = (
    *("dataset_full_images", "dataset_full_bytes", "platform_full_images", "platform_full_bytes"),
    *("dataset_waiting", "platform_waiting"),
)


def explain(code: str, detail: dict[str, Any]) -> Explanation:
    """Return the message for a problem, in the reader's language.

    An unknown code is shown with its values.
    """
    what, *advice = PROBLEMS.sentences(code, detail)
    return Explanation(what, advice[0] if advice else "")
