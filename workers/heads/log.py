"""The training log: each step is a code with JSON values.

The platform stores codes and values and renders them (TRAINING_LOG of mekiki.learning.messages; a test
compares the codes).
"""

from __future__ import annotations

from typing import Any, Protocol


class Log(Protocol):
    """A function called once a step with JSON values: ``log("calibrated", temperature=1.2)``."""

    def __call__(self, code: str, /, **values: Any) -> None: ...


def ignore_step(code: str, /, **values: Any) -> None:
    """Ignore the step."""
