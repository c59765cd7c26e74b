"""Exceptions of stages that fail for a reason a person can fix."""

from collections.abc import Mapping
from typing import Any


class StageError(Exception):
    """Failure of a stage, with a sentence that says what happened, what was kept and what to do next.

    The job ends as failed with this sentence. The text must be translated only when it is read, because a job
    stores it in every language. It is a gettext_lazy text with `values` for its placeholders, or a function
    that returns the sentence in the active language.
    """

    def __init__(self, text: Any, values: Mapping[str, Any] | None = None) -> None:
        super().__init__(text)
        self.text, self.values = text, values

    def __str__(self) -> str:
        text = str(self.text() if callable(self.text) else self.text)
        return text % self.values if self.values is not None else text
