"""Pages of the grid review: leases, answers and undos of many images at once."""

import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from mekiki.accounts.services import set_adjudicator
from mekiki.audit.models import Event
from mekiki.datasets.models import DEFAULT_DISPLAY_MS, Dataset
from mekiki.learning.services import store_embeddings
from mekiki.review import services
from mekiki.review.errors import InvalidAnswerError, ReviewError
from mekiki.review.grid import describe_undo
from mekiki.review.models import ConfirmedLabel, Decision, Lease, QueueItem, Stream
from mekiki.review.services import GridPage, TileAnswer, TileResult
from tests.factories import ImageFactory, PredictionFactory, UserFactory
from tests.review.test_review_concurrency import errors_of, run_concurrently
from tests.review_setup import Station

pytestmark = pytest.mark.django_db


class Grid(Station):
    """A station with items that are predicted as different labels."""

    def predicted(self, label: int, count: int = 1, **more: Any) -> list[QueueItem]:
        items = []
        for _ in range(count):
            image = ImageFactory(dataset=self.dataset)
            PredictionFactory(head=self.head, image=image, label=self.labels[label])
            items.append(self.item(image=image, **more))
        return items

    def page(self, user: Any, label: int | None = None, count: int = 24) -> GridPage:
        label_id = None if label is None else self.labels[label].pk
        return services.next_page(dataset=self.dataset, user=user, label_id=label_id, count=count)

    def confirm(
        self, user: Any, shown: GridPage, marks: dict[int, TileAnswer] | None = None, **more: Any
    ) -> list[TileResult]:
        tiles = [
            (marks or {}).get(n) or TileAnswer(tile.item.pk, tile.lease.pk, "confirm")
            for n, tile in enumerate(shown.tiles)
        ]
        return services.answer_page(
            **{
                "dataset": self.dataset,
                "user": user,
                "page": uuid.uuid4(),
                "tiles": tiles,
                "milliseconds": services.needed_ms(self.dataset, len(tiles)),
                **more,
            }
        )


def ids(page: GridPage) -> set[int]:
    return {tile.item.pk for tile in page.tiles}


def test_page_holds_only_images_with_the_chosen_predicted_label():
    grid = Grid()
    first, second = grid.predicted(0, 3), grid.predicted(1, 5)
    user = grid.reviewer()
    assert ids(grid.page(user, 0)) == {item.pk for item in first}
    page = grid.page(user, 1)
    assert ids(page) == {item.pk for item in second}
    assert {lease.item_id for lease in Lease.objects.filter(user=user)} == {x.pk for x in first + second}
    assert [(label.name, label.waiting) for label in page.labels] == [
        (grid.labels[1].name, 5),
        (grid.labels[0].name, 3),
    ]


def test_page_without_a_label_takes_the_label_with_most_images():
    grid = Grid()
    grid.predicted(0, 2)
    many = grid.predicted(2, 4)
    page = grid.page(grid.reviewer())
    assert page.label is not None and page.label.label == grid.labels[2].pk
    assert ids(page) == {item.pk for item in many}


def test_page_of_an_empty_label_takes_another_label():
    grid = Grid(items=2)
    page = grid.page(grid.reviewer(), 2)
    assert page.label is not None and page.label.label == grid.labels[0].pk


@pytest.mark.parametrize(("count", "leased"), [(0, 6), (7, 7), (1000, 60)])
def test_page_has_six_to_sixty_images(count: int, leased: int):
    grid = Grid(items=65)
    assert len(grid.page(grid.reviewer(), 0, count).tiles) == leased


def test_page_begins_with_the_image_farthest_from_the_mean():
    grid = Grid(items=6)
    angles = [0.1, 0.2, 1.4, 0.0, 0.3, 0.15]
    store_embeddings(
        encoder=grid.head.encoder,
        image_ids=[item.image_id for item in grid.items],
        vectors=np.array([[np.cos(a), np.sin(a), 0.0, 0.0] for a in angles]),
    )
    page = grid.page(grid.reviewer())
    order = [angles[grid.items.index(tile.item)] for tile in page.tiles]
    mean = np.array([[np.cos(a), np.sin(a)] for a in angles]).mean(axis=0)
    middle = float(np.arctan2(mean[1], mean[0]))
    assert order[0] == 1.4
    assert order == sorted(angles, key=lambda a: -abs(a - middle))


@pytest.mark.parametrize("stream", [Stream.AUDIT, Stream.GOLD])
def test_blind_items_are_never_on_a_page(stream: str):
    grid = Grid(items=2)
    blind = grid.item(stream=stream)
    page = grid.page(grid.reviewer())
    assert blind.pk not in ids(page) and len(page.tiles) == 2
    assert page.labels[0].waiting == 2
    assert not Lease.objects.filter(item=blind).exists()


@pytest.mark.parametrize("kind", ["confirm", "correct", "skip"])
def test_blind_item_is_refused_on_a_page_even_with_a_lease(kind: str):
    grid = Grid(items=1)
    grid.item(stream=Stream.AUDIT)
    user = grid.reviewer()
    label = grid.labels[1].pk if kind == "correct" else None
    leased = grid.next(user, 2)
    tiles = [TileAnswer(one.item.pk, one.lease.pk, kind, label) for one in leased]
    results = grid.confirm(user, GridPage(None, leased, []), dict(enumerate(tiles)))
    assert [result.error and result.error.code for result in results] == [None, "blind"]
    assert Decision.objects.get().item == grid.items[0]


def test_image_of_the_audit_reserve_is_not_on_a_page_in_another_stream():
    grid = Grid(items=1)
    reserve = grid.item(image=ImageFactory(dataset=grid.dataset, audit_key=0.01))
    page = grid.page(grid.reviewer())
    assert reserve.pk not in ids(page) and len(page.tiles) == 1


def test_reviewers_get_different_images_unless_the_overlap_asks_for_more():
    grid = Grid(items=10)
    pages = [grid.page(grid.reviewer(), 0, 6) for _ in range(3)]
    assert [len(page.tiles) for page in pages] == [6, 4, 0]
    assert not ids(pages[0]) & ids(pages[1])
    twice = Grid(items=6, overlap=2)
    pages = [twice.page(twice.reviewer(), 0, 6) for _ in range(3)]
    assert [len(page.tiles) for page in pages] == [6, 6, 0]


def test_reload_shows_the_same_images_with_renewed_leases():
    grid = Grid(items=12)
    user = grid.reviewer()
    first = grid.page(user, 0, 6)
    Lease.objects.update(expires_at=timezone.now() + timedelta(seconds=5))
    again = grid.page(user, 0, 6)
    assert [tile.lease.pk for tile in again.tiles] == [tile.lease.pk for tile in first.tiles]
    assert min(lease.expires_at for lease in Lease.objects.all()) > timezone.now() + timedelta(seconds=20)


def test_expired_leases_pass_to_the_next_reviewer_and_late_answers_are_kept():
    grid = Grid(items=6)
    slow, fast = grid.reviewer(), grid.reviewer()
    page = grid.page(slow)
    Lease.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    taken = grid.page(fast)
    assert ids(taken) == ids(page)
    results = grid.confirm(slow, page)
    assert [result.decision and result.decision.late for result in results] == [True] * 6
    assert not any(result.decision and result.decision.late for result in grid.confirm(fast, taken))


def test_only_reviewers_get_and_answer_pages():
    grid = Grid(items=2)
    page = grid.page(grid.reviewer())
    for user in (grid.reviewer("viewer"), UserFactory()):
        with pytest.raises(PermissionDenied):
            grid.page(user)
        with pytest.raises(PermissionDenied):
            grid.confirm(user, page)
        with pytest.raises(PermissionDenied):
            services.undo_page(dataset=grid.dataset, user=user, client_key=uuid.uuid4())
    assert not Decision.objects.exists()


def test_page_of_another_reviewer_is_refused_for_each_image():
    grid = Grid(items=2)
    page = grid.page(grid.reviewer())
    results = grid.confirm(grid.reviewer(), page)
    assert [result.error and result.error.code for result in results] == ["unknown_lease"] * 2
    assert not Decision.objects.exists()


def test_each_image_gets_its_own_decision():
    grid = Grid(items=5)
    user = grid.reviewer()
    page = grid.page(user)
    item = lambda n: (page.tiles[n].item.pk, page.tiles[n].lease.pk)  # noqa: E731
    marks = {
        1: TileAnswer(*item(1), "correct", grid.labels[2].pk),
        2: TileAnswer(*item(2), "skip"),
        3: TileAnswer(*item(3), "flag"),
        4: TileAnswer(*item(4), "confirm", grid.labels[0].pk),
    }
    key = uuid.uuid4()
    results = grid.confirm(user, page, marks, page=key, milliseconds=512)
    decisions = list(Decision.objects.order_by("pk"))
    assert [result.decision for result in results] == decisions
    assert [(d.kind, d.label_id) for d in decisions] == [
        ("confirm", grid.labels[0].pk),
        ("correct", grid.labels[2].pk),
        ("skip", None),
        ("flag", None),
        ("confirm", grid.labels[0].pk),
    ]
    assert [d.item_id for d in decisions] == [tile.item.pk for tile in page.tiles]
    for decision, tile in zip(decisions, page.tiles, strict=True):
        assert decision.shown == {**tile.lease.shown, "grid": {"page": str(key), "tiles": 5}}
        assert decision.shown["label"] == grid.labels[0].pk and decision.milliseconds == 512
    assert ConfirmedLabel.objects.count() == 3
    assert Event.objects.filter(kind="decision.recorded").count() == 5
    assert not Lease.objects.filter(ended_at__isnull=True).exists()


def test_page_sent_twice_is_recorded_once():
    grid = Grid(items=3)
    user = grid.reviewer()
    page, key = grid.page(user), uuid.uuid4()
    first = grid.confirm(user, page, page=key)
    again = grid.confirm(user, page, page=key, milliseconds=0)
    assert [r.decision for r in again] == [r.decision for r in first]
    assert all(r.decision and r.decision.duplicate for r in again)
    assert Decision.objects.count() == 3


def test_image_added_to_a_page_that_was_recorded_is_refused():
    grid = Grid(items=3)
    user = grid.reviewer()
    page, key = grid.page(user), uuid.uuid4()
    tiles = [TileAnswer(tile.item.pk, tile.lease.pk, "confirm") for tile in page.tiles]
    grid.confirm(user, page, page=key, tiles=tiles[:1])
    results = grid.confirm(user, page, page=key, tiles=tiles, milliseconds=0)
    assert [r.error and r.error.code for r in results] == [None, "page_sent", "page_sent"]
    assert Decision.objects.count() == 1


@pytest.mark.parametrize(("setting", "least"), [(100, 300), (250, 750)])
def test_page_that_was_on_the_screen_too_short_is_refused(setting: int, least: int):
    grid = Grid(items=3, grid_image_ms=setting)
    user = grid.reviewer()
    page = grid.page(user)
    with pytest.raises(InvalidAnswerError) as refused:
        grid.confirm(user, page, milliseconds=least - 1)
    assert refused.value.code == "not_seen" and str(least) in refused.value.message
    assert not Decision.objects.exists()
    assert Lease.objects.filter(user=user, ended_at__isnull=True).count() == 3
    assert all(result.decision for result in grid.confirm(user, page, milliseconds=least))


def test_viewing_time_below_the_minimum_cannot_be_stored():
    grid = Grid()
    with pytest.raises(IntegrityError), transaction.atomic():
        Dataset.objects.filter(pk=grid.dataset.pk).update(grid_image_ms=99)


@pytest.mark.parametrize("wrong", ["none", "many", "twice"])
def test_page_with_a_wrong_number_of_images_is_refused(wrong: str):
    grid = Grid(items=1)
    user = grid.reviewer()
    tile = grid.page(user).tiles[0]
    one = TileAnswer(tile.item.pk, tile.lease.pk, "confirm")
    tiles = {"none": [], "many": [one] * 61, "twice": [one, one]}[wrong]
    with pytest.raises(InvalidAnswerError) as refused:
        grid.confirm(user, GridPage(None, [], []), tiles=tiles, milliseconds=10_000)
    assert refused.value.code == ("repeated_tile" if wrong == "twice" else "tile_count")
    assert not Decision.objects.exists()


def test_refused_image_does_not_hold_back_the_others():
    grid = Grid(items=3)
    user = grid.reviewer()
    page = grid.page(user)
    archived = grid.labels[2]
    archived.archived_at = timezone.now()
    archived.save()
    tile = page.tiles[1]
    mark = TileAnswer(tile.item.pk, tile.lease.pk, "correct", archived.pk)
    results = grid.confirm(user, page, {1: mark})
    assert [result.error and result.error.code for result in results] == [None, "label_archived", None]
    assert {d.item_id for d in Decision.objects.all()} == ids(page) - {tile.item.pk}
    assert Lease.objects.get(pk=tile.lease.pk).ended_at is None


def test_undo_takes_back_the_whole_page_and_leases_its_images_again():
    grid = Grid(items=4)
    user = grid.reviewer()
    page = grid.page(user, count=6)
    grid.confirm(user, page)
    key = uuid.uuid4()
    undone = services.undo_page(dataset=grid.dataset, user=user, client_key=key)
    assert (len(undone.undos), undone.label, undone.duplicate) == (4, grid.labels[0].pk, False)
    assert {undo.supersedes_id for undo in undone.undos} == set(
        Decision.objects.exclude(kind="undo").values_list("pk", flat=True)
    )
    assert not ConfirmedLabel.objects.exists()
    assert ids(grid.page(user)) == ids(page)
    again = services.undo_page(dataset=grid.dataset, user=user, client_key=key)
    assert again.duplicate and {u.pk for u in again.undos} == {u.pk for u in undone.undos}
    assert Decision.objects.filter(kind="undo").count() == 4
    with pytest.raises(ReviewError) as refused:
        services.undo_page(dataset=grid.dataset, user=user, client_key=uuid.uuid4())
    assert refused.value.code == "nothing_to_undo"


def test_undo_of_the_station_takes_back_one_image_and_undo_of_the_page_the_rest():
    grid = Grid(items=8)
    user = grid.reviewer()
    first = grid.confirm(user, grid.page(user, count=6))
    second = grid.confirm(user, grid.page(user, count=6))
    assert (len(first), len(second)) == (6, 2)
    assert grid.undo(user).supersedes == second[1].decision
    undone = services.undo_page(dataset=grid.dataset, user=user, client_key=uuid.uuid4())
    assert [undo.supersedes for undo in undone.undos] == [second[0].decision]
    undone = services.undo_page(dataset=grid.dataset, user=user, client_key=uuid.uuid4())
    assert {undo.supersedes_id for undo in undone.undos} == {r.decision.pk for r in first if r.decision}


def test_undo_of_a_page_leaves_an_answer_of_the_station():
    grid = Grid(items=7)
    user = grid.reviewer()
    grid.confirm(user, grid.page(user, count=6))
    grid.answer(user, grid.next(user)[0])
    with pytest.raises(ReviewError) as refused:
        services.undo_page(dataset=grid.dataset, user=user, client_key=uuid.uuid4())
    assert refused.value.code == "not_a_page"
    assert not Decision.objects.filter(kind="undo").exists()


def test_undo_of_a_page_says_what_admins_and_adjudicators_have_decided_since():
    grid = Grid(items=6, overlap=2)
    user, other, admin = grid.reviewer(), grid.reviewer(), grid.reviewer("admin")
    set_adjudicator(dataset=grid.dataset, user=admin, adjudicator=True, actor=admin)
    shown = grid.page(user, count=6)
    flag = TileAnswer(shown.tiles[0].item.pk, shown.tiles[0].lease.pk, "flag")
    results = grid.confirm(user, shown, {0: flag})
    flagged, ruled, settled = (result.decision for result in results[:3])
    services.set_aside(dataset=grid.dataset, user=admin, decision_id=flagged.pk)
    for leased in grid.next(other, 5):
        if leased.item.pk in (ruled.item_id, settled.item_id):
            label = grid.labels[1 if leased.item.pk == ruled.item_id else 0]
            grid.answer(other, leased, "correct", label=label)
    ruling = services.rule(
        dataset=grid.dataset, user=admin, item_id=ruled.item_id, label_id=grid.labels[2].pk,
        note="because", client_key=uuid.uuid4(),
    )  # fmt: skip
    key = uuid.uuid4()
    undone = services.undo_page(dataset=grid.dataset, user=user, client_key=key)
    assert {undo.supersedes_id for undo in undone.undos} == {
        result.decision.pk for result in results[1:] if result.decision
    }
    # The image that both had confirmed waits again; the image of the ruling keeps its label.
    assert (undone.returned, undone.kept, undone.ruled, undone.elsewhere) == (4, 1, 1, 0)
    assert ConfirmedLabel.objects.get().decision == ruling
    again = services.undo_page(dataset=grid.dataset, user=user, client_key=key)
    assert again == replace(undone, undos=again.undos, duplicate=True)
    text = describe_undo(undone)
    assert "shown again: 4" in text and "labels stay: 1" in text and "answers stay: 1" in text


def test_undo_of_a_page_leaves_the_own_rulings_that_followed():
    grid = Grid(items=6, overlap=2)
    user, other = grid.reviewer("admin"), grid.reviewer()
    set_adjudicator(dataset=grid.dataset, user=user, adjudicator=True, actor=user)
    results = grid.confirm(user, grid.page(user, count=6))
    leased = grid.next(other)[0]
    grid.answer(other, leased, "correct", label=grid.labels[1])
    ruling = services.rule(
        dataset=grid.dataset, user=user, item_id=leased.item.pk, label_id=grid.labels[2].pk,
        note="because", client_key=uuid.uuid4(),
    )  # fmt: skip
    undone = services.undo_page(dataset=grid.dataset, user=user, client_key=uuid.uuid4())
    assert len(undone.undos) == len(results) == 6
    assert (undone.returned, undone.ruled) == (5, 1)
    assert ConfirmedLabel.objects.get().decision == ruling


def test_queries_of_a_page_do_not_grow_with_its_images():
    counts = []
    for size in (6, 60):
        grid = Grid(items=size)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert len(grid.page(grid.reviewer(), 0, size).tiles) == size
        counts.append(len(queries))
    assert counts[0] == counts[1]


@pytest.mark.django_db(transaction=True)
def test_concurrent_pages_share_no_image():
    grid = Grid(items=90, queue_target=0)
    people = [grid.reviewer() for _ in range(4)]
    results = run_concurrently(*(lambda u=user: grid.page(u, 0, 30) for user in people))
    assert not errors_of(results)
    leased = [item for page in results for item in ids(page)]
    assert len(leased) == len(set(leased)) == 90


@pytest.mark.django_db(transaction=True)
def test_page_sent_five_times_at_once_is_recorded_once():
    grid = Grid(items=6, queue_target=0)
    user = grid.reviewer()
    page, key = grid.page(user), uuid.uuid4()
    results = run_concurrently(*(lambda: grid.confirm(user, page, page=key) for _ in range(5)))
    assert not errors_of(results)
    assert Decision.objects.count() == 6
    assert len({tuple(r.decision.pk for r in result) for result in results}) == 1


@pytest.mark.django_db(transaction=True)
def test_two_reviewers_answer_the_same_images_in_opposite_order():
    grid = Grid(items=30, overlap=2, queue_target=0)
    people = [grid.reviewer(), grid.reviewer()]
    tiles = [
        [TileAnswer(t.item.pk, t.lease.pk, "confirm") for t in grid.page(user, 0, 30).tiles]
        for user in people
    ]
    results = run_concurrently(
        lambda: grid.confirm(people[0], GridPage(None, [], []), tiles=tiles[0], milliseconds=9000),
        lambda: grid.confirm(people[1], GridPage(None, [], []), tiles=tiles[1][::-1], milliseconds=9000),
    )
    assert not errors_of(results)
    assert Decision.objects.filter(late=False).count() == 60
    assert not QueueItem.objects.exclude(state="done").exists()


def test_page_with_one_image_needs_the_time_of_a_single_image():
    grid = Grid(items=1)
    user = grid.reviewer()
    page = grid.page(user)
    with pytest.raises(InvalidAnswerError):
        grid.confirm(user, page, milliseconds=DEFAULT_DISPLAY_MS - 1)
    assert grid.confirm(user, page, milliseconds=DEFAULT_DISPLAY_MS)[0].decision
