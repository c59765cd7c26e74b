"""Fixtures for the tests of exports.

Models are imported inside the functions, because Django is set up after this file is read.
"""

from typing import Any

import pytest


@pytest.fixture
def judged(db: None) -> Any:
    """Create a small reviewed dataset (tests.exports.helpers.Judged)."""
    from tests.exports.helpers import make_judged

    return make_judged()


@pytest.fixture
def frozen(judged: Any) -> Any:
    """Freeze a label set with images and with labels of reviewers and of the machine."""
    from tests.exports.helpers import freeze_judged

    return freeze_judged(judged)


@pytest.fixture(autouse=True)
def signing_key(request: pytest.FixtureRequest) -> Any:
    """Create the signing key of the session's home, for tests with a database.

    Child processes read it too.
    """
    if not {"db", "transactional_db"} & set(request.fixturenames):
        return None
    request.getfixturevalue("transactional_db" if "transactional_db" in request.fixturenames else "db")
    from mekiki.audit.private_key import settle_key

    return settle_key()
