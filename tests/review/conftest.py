"""Fixtures of the tests of the review."""

from typing import Any

import pytest


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[Any]]]:
    """Return the messages to the search worker, which nobody receives."""
    messages: list[tuple[str, list[Any]]] = []

    def send(task: str, args: list[Any], *, queue: str | None = None) -> bool:
        assert queue == "interactive"
        messages.append((task.rpartition(".")[2], args))
        return True

    monkeypatch.setattr("mekiki.jobs.broker.send", send)
    return messages
