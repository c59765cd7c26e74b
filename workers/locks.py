"""Lock of a dataset: only one stage at a time, on any worker, makes heads or fills the queue."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django.db import DatabaseError, connection

from mekiki.datasets.models import Dataset
from workers.runner import Report

_LOCK_NAMESPACE = 0x4D4B4C01


@contextmanager
def learning_lock(dataset: Dataset, report: Report) -> Iterator[None]:
    """Hold the dataset's learning lock; wait for it while reporting.

    The lock ends with its connection, so a killed worker holds no lock. It is a lock of PostgreSQL, because
    workers on several machines share it.
    """
    key = dataset.pk % 2**31
    waited = False
    while True:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [_LOCK_NAMESPACE, key])
            if cursor.fetchone()[0]:
                break
        if waited:
            report()
        else:
            report(stage="waiting for other work on this dataset")
        waited = True
        time.sleep(0.25)
    try:
        yield
    finally:
        with suppress(DatabaseError), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [_LOCK_NAMESPACE, key])
