"""Fixtures for the tests of seals.

Models are imported inside the functions, because Django is set up after this file is read.
"""

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def signing_key(db: None, settings: Any, tmp_path: Path) -> Any:
    """Create a signing key in a home of its own."""
    from mekiki.audit.private_key import make_first_key

    settings.HOME = tmp_path
    return make_first_key()
