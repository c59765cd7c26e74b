"""Assigned parts of the queue: mine first, others when nothing else waits, strict parts never."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from mekiki.accounts.models import Membership
from mekiki.review import services
from mekiki.review.empty_queue import empty_queue_reason
from mekiki.review.errors import InvalidAnswerError, NotFoundForReviewerError
from mekiki.review.models import Assignment, QueueItem, Stream
from tests.factories import ImageFactory, PredictionFactory
from tests.review_setup import Station

pytestmark = pytest.mark.django_db


class DividedStation(Station):
    """A station whose items are predicted as labels 0, 1, 2, 0, 1, 2 …, on the lines A, B, A, B …"""

    def __init__(self, items: int = 6, **settings: Any) -> None:
        super().__init__(**settings)
        self.admin = self.reviewer("admin")
        self.items = [self.item_of(n % 3, "AB"[n % 2]) for n in range(items)]

    def item_of(self, label: int, line: str = "A", stream: str = Stream.UNCERTAIN) -> QueueItem:
        image = ImageFactory(dataset=self.dataset, metadata={"line": line, "camera": "1"})
        PredictionFactory(head=self.head, image=image, label=self.labels[label])
        return self.item(stream=stream, image=image)

    def assign(self, user: Any, label: int | None = None, **more: Any) -> Assignment:
        part = {"label_id": self.labels[label].pk} if label is not None else {}
        row = services.assign_part(dataset=self.dataset, user=self.admin, reviewer_id=user.pk, **part, **more)
        self.dataset.refresh_from_db()
        return row

    def order(self, user: Any, count: int = 5) -> list[int]:
        """Return the numbers of the items that the reviewer gets, in the order of their leases."""
        number = {item.pk: n for n, item in enumerate(self.items)}
        return [number[leased.item.pk] for leased in self.next(user, count)]


def test_own_label_comes_first_then_what_nobody_has_then_the_parts_of_others():
    station = DividedStation()
    user, other = station.reviewer(), station.reviewer()
    station.assign(user, label=1)
    station.assign(other, label=0)
    assert station.order(user) == [1, 4, 2, 5, 0]


def test_reviewer_without_a_part_gets_the_parts_of_others_last():
    station = DividedStation()
    station.assign(station.reviewer(), label=0)
    assert station.order(station.reviewer()) == [1, 2, 4, 5, 0]


def test_part_by_metadata():
    station = DividedStation()
    user = station.reviewer()
    station.assign(user, key="line", value="B")
    assert station.order(user) == [1, 3, 5, 0, 2]


def test_strict_part_is_for_its_reviewers_only():
    station = DividedStation()
    user, other = station.reviewer(), station.reviewer()
    station.assign(user, label=0, strict=True)
    station.assign(user, key="line", value="B", strict=True)
    assert station.order(other) == [2, 4]
    assert station.order(user) == [0, 1, 3, 5]
    assert empty_queue_reason(station.dataset, station.reviewer()).code == "held_by_others"


def test_empty_queue_says_that_the_rest_is_assigned_to_others():
    station = DividedStation(items=3)
    station.assign(station.reviewer(), label=0, strict=True)
    station.assign(station.reviewer(), label=1, strict=True)
    user = station.reviewer()
    station.answer(user, station.next(user)[0])
    items, empty = services.next_or_reason(dataset=station.dataset, user=user, count=3)
    assert items == [] and empty is not None and empty.code == "assigned_to_others"


def test_part_that_several_reviewers_have_is_shared():
    station = DividedStation()
    first, second = station.reviewer(), station.reviewer()
    for user in (first, second):
        station.assign(user, label=0, strict=True)
    assert station.order(first, 1) == [0] and station.order(second, 1) == [3]


@pytest.mark.parametrize("stream", [Stream.AUDIT, Stream.CERTIFY])
@pytest.mark.parametrize("part", [{"label": 0}, {"key": "line", "value": "A"}])
def test_blind_items_are_assigned_to_nobody(stream: str, part: dict[str, Any]):
    """A prediction or metadata that decides who judges an image would give the prediction away."""
    station = DividedStation(items=3)
    blind = station.item_of(0, "A", stream)
    station.items.append(blind)
    QueueItem.objects.filter(pk=blind.pk).update(position=0)
    user, other = station.reviewer(), station.reviewer()
    station.assign(user, strict=True, **part)
    station.assign(station.reviewer(), label=2)
    assert station.order(other, 1) == [3]
    services.release(dataset=station.dataset, user=other, lease_ids=[x.lease.pk for x in station.next(other)])
    # A reviewer with another part gets the blind item in its place of the queue, before the own part.
    third = station.reviewer()
    station.assign(third, label=1)
    assert station.order(third, 2) == [3, 1]


def test_sent_images_come_before_the_own_part():
    station = DividedStation()
    user = station.reviewer()
    station.assign(user, label=1)
    QueueItem.objects.filter(pk=station.items[5].pk).update(assigned_to=user)
    assert station.order(user, 2) == [5, 1]


def test_assignment_ends_with_the_membership_and_with_the_label():
    station = DividedStation()
    user, other = station.reviewer(), station.reviewer()
    station.assign(user, label=0, strict=True)
    station.assign(user, label=1, strict=True)
    station.labels[1].archived_at = station.labels[1].dataset.created_at
    station.labels[1].save()
    assert station.order(other) == [1, 2, 4, 5]
    Membership.objects.filter(user=user).delete()
    third = station.reviewer()
    assert station.order(third) == [0, 3]


def test_grid_shows_the_own_label_first_and_leaves_strict_parts_of_others_out():
    station = DividedStation(items=9)
    user, other = station.reviewer(), station.reviewer()
    station.assign(user, label=2)
    station.assign(other, label=0, strict=True)
    page = services.next_page(dataset=station.dataset, user=user, count=6)
    assert page.label is not None and page.label.label == station.labels[2].pk
    assert {label.label for label in page.labels} == {station.labels[1].pk, station.labels[2].pk}
    theirs = services.next_page(dataset=station.dataset, user=other, count=6)
    assert theirs.label is not None and theirs.label.label == station.labels[0].pk


def test_dataset_without_assignments_needs_no_further_query():
    station = DividedStation()
    user = station.reviewer()

    def queries_of_one_item() -> list[str]:
        with CaptureQueriesContext(connection) as queries:
            leased = station.next(user)
        services.release(dataset=station.dataset, user=user, lease_ids=[one.lease.pk for one in leased])
        return [query["sql"] for query in queries]

    queries_of_one_item()
    plain = queries_of_one_item()
    assert not any("assignment" in sql for sql in plain)
    part = station.assign(user, label=0)
    assert len(queries_of_one_item()) > len(plain)
    services.remove_assignment(dataset=station.dataset, user=station.admin, assignment_id=part.pk)
    station.dataset.refresh_from_db()
    assert len(queries_of_one_item()) == len(plain)


def test_assigning_twice_changes_only_whether_it_is_strict():
    station = DividedStation()
    user = station.reviewer()
    first = station.assign(user, key="line", value="A")
    second = station.assign(user, key="line", value="A", strict=True)
    assert first.pk == second.pk and Assignment.objects.get().strict


def test_bad_parts_are_refused():
    station, foreign = DividedStation(), DividedStation(items=0)
    user = station.reviewer()
    for part in ({"label_id": station.labels[0].pk, "key": "line", "value": "A"}, {}, {"key": "line"}):
        with pytest.raises(InvalidAnswerError):
            station.assign(user, **part)
    with pytest.raises(NotFoundForReviewerError):
        station.assign(user, label_id=foreign.labels[0].pk)
    with pytest.raises(InvalidAnswerError):
        station.assign(station.reviewer("viewer"), label=0)
    part = foreign.assign(foreign.reviewer(), label=0)
    with pytest.raises(NotFoundForReviewerError):
        services.remove_assignment(dataset=station.dataset, user=station.admin, assignment_id=part.pk)
