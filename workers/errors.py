"""What a stage raises when it cannot go on for a reason a person can mend."""

from collections.abc import Mapping
from typing import Any


class StageError(Exception):
    """The job ends as failed with this sentence: what happened, what was kept, what to do next.

    The text must be translated only when it is read, because a job keeps it in every language: gettext_lazy with
    `values` for its places, or a function that gives the sentence in the language in use.
    """

    def __init__(self, text: Any, values: Mapping[str, Any] | None = None) -> None:
        super().__init__(text)
        self.text, self.values = text, values

    def __str__(self) -> str:
        text = str(self.text() if callable(self.text) else self.text)
        return text % self.values if self.values is not None else text
