""" "Keyset pagination: each row is on exactly one page, also where keys are equal."""

from datetime import timedelta

import pytest
from django.utils import timezone

from mekiki.config.keyset import after_key, page_by, take_page
from mekiki.jobs.models import Job, State
from tests.factories import JobFactory

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("descending", [True, False])
def test_each_row_is_on_one_page(descending: bool) -> None:
    numbers = sorted((JobFactory().number for _ in range(7)), reverse=descending)
    listed: list[int] = []
    after = None
    for size in (3, 3, 1):
        page, after = page_by(Job.objects.all(), "number", 3, after=after, descending=descending)
        assert len(page) == size
        listed += [job.number for job in page]
    assert listed == numbers and after is None
    assert page_by(Job.objects.none(), "number", 3) == ([], None)


def test_rows_with_an_equal_key_are_ordered_by_the_next_key() -> None:
    now = timezone.now()
    for minutes in (0, 1, 1, 1, 2):
        JobFactory(state=State.SUCCEEDED, finished_at=now + timedelta(minutes=minutes))
    ordered = list(Job.objects.order_by("-finished_at", "-number"))
    for position, row in enumerate(ordered):
        keys = (("finished_at", row.finished_at), ("number", row.number))
        older = Job.objects.filter(after_key(*keys, descending=True)).order_by("-finished_at", "-number")
        assert list(older) == ordered[position + 1 :]
        newer = Job.objects.filter(after_key(*keys, descending=False, or_equal=True))
        assert set(newer) == set(ordered[: position + 1])


def test_full_last_page_has_no_next_page() -> None:
    for _ in range(3):
        JobFactory()
    rows = Job.objects.order_by("number")
    assert take_page(rows, 3) == (list(rows), False)
    assert take_page(rows, 2) == (list(rows)[:2], True)
