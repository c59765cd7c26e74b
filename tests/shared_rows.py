"""Rows that all tests of a module share: created once, in a transaction around the tests of the module.

A test without `transaction=True` runs inside that transaction and is rolled back to its beginning. Use this
for a setup that takes a second or longer. The database's `now()` is the beginning of the transaction for all
tests of the module. Files are not rolled back.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import transaction


@contextmanager
def rows_of_module(django_db_blocker: Any) -> Iterator[None]:
    """Roll back at the end what the block writes. For a fixture with the scope of a module."""
    with django_db_blocker.unblock(), transaction.atomic():
        yield
        transaction.set_rollback(True)
