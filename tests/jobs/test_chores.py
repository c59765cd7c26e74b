"""Chores of the sweeper go on after an error."""

import logging
import threading
from collections.abc import Callable

import pytest
from django.db import OperationalError

from mekiki.jobs.chores import Chore, run_until


@pytest.mark.parametrize("error", [RuntimeError("no room"), OperationalError("no database")])
def test_a_chore_that_cannot_be_prepared_is_tried_again(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    stopped, calls = threading.Event(), list[str]()

    def prepare() -> Callable[[], object]:
        calls.append("prepare")
        if len(calls) < 3:
            raise error

        def act() -> None:
            calls.append("act")
            if calls.count("act") == 2:
                stopped.set()

        return act

    limit = threading.Timer(20, stopped.set)
    limit.start()
    with caplog.at_level(logging.WARNING):
        run_until(stopped, [Chore("try", 0.01, prepare)])
    limit.cancel()
    assert calls[:5] == ["prepare", "prepare", "prepare", "act", "act"]
    assert caplog.text.count("tried again") == 2 and "try" in caplog.text
