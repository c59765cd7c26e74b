"""What a stage raises when it cannot go on for a reason a person can mend."""

from collections.abc import Mapping
from typing import Any


class StageError(Exception):
    """The job ends as failed with this sentence: what happened, what was kept, what to do next.

    A text that is translated only when it is read (gettext_lazy), with `values` for its places, can be told in every
    language; any other is in the language of whoever asked for the job.
    """

    def __init__(self, text: Any, values: Mapping[str, Any] | None = None) -> None:
        super().__init__(text)
        self.text, self.values = text, values

    def __str__(self) -> str:
        return str(self.text) % self.values if self.values is not None else str(self.text)
