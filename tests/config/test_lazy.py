"""Functions that apps register by their name exist."""

import pytest
from django.utils.module_loading import import_string

from mekiki.config.lazy import NAMES, by_name
from mekiki.jobs import chores


def test_every_registered_name_is_a_function() -> None:
    assert {"mekiki.quality.following.after_answer", "mekiki.jobs.seals.enqueue_scheduled_seal"} <= NAMES
    assert [name for name in sorted(NAMES) if not callable(import_string(name))] == []
    assert all(callable(chore.prepare()) for chore in chores.registered())


def test_name_is_imported_at_the_call() -> None:
    assert by_name("os.path.join")("a", "b") == "a/b"
    late = by_name("mekiki.config.lazy.no_such_function")
    NAMES.discard("mekiki.config.lazy.no_such_function")
    NAMES.discard("os.path.join")
    with pytest.raises(ImportError, match="no_such_function"):
        late()
