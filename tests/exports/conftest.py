"""Fixtures of the exports. What imports models is imported late: Django is set up after this file is read."""

from typing import Any

import pytest


@pytest.fixture
def judged(db: None) -> Any:
    """A small dataset that people have judged: tests.exports.helpers.Judged."""
    from tests.exports.helpers import make_judged

    return make_judged()


@pytest.fixture
def frozen(judged: Any) -> Any:
    """A label set with people's and the machine's labels, and images."""
    from mekiki.exports.services import freeze
    from mekiki.exports.writing import write_label_set
    from tests.exports.helpers import nothing

    asked = freeze(
        dataset=judged.dataset, user=judged.admin, note="first", include_images=True, machine_threshold=0.94
    )
    return write_label_set(label_set=asked, progress=nothing)
