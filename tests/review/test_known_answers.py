"""Known answers on pages of the grid: they look the same as other images, and measure the reviewer only."""

import json
import re
import uuid
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from mekiki.datasets.models import Dataset
from mekiki.learning.models import Prediction
from mekiki.review import services
from mekiki.review.blinding import hidden_count
from mekiki.review.models import ConfirmedLabel, Decision, Lease, QueueItem
from mekiki.review.services import GridPage, TileAnswer, known_answers
from tests.review.test_gold import Gold, newest_gold_answers
from tests.review.test_grid import Grid

pytestmark = pytest.mark.django_db


class Always:
    """Random numbers that want a gold image at each of the first `wanted` draws."""

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.chosen = 0

    def random(self) -> float:
        self.wanted -= 1
        return 0.0 if self.wanted >= 0 else 1.0

    def sample(self, items: list[Any], n: int) -> list[Any]:
        return items[:n]

    def choice(self, items: list[Any]) -> Any:
        self.chosen += 1
        return items[self.chosen % len(items)]


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """Return a grid with gold images of another label that wait for a reviewer, and the reviewer."""
    grid = Gold(gold=4)
    grid.page = Grid.page.__get__(grid)  # type: ignore[attr-defined]
    grid.confirm = Grid.confirm.__get__(grid)  # type: ignore[attr-defined]
    user = grid.present()
    grid.fill()
    QueueItem.objects.filter(stream="audit", state="waiting").update(state="withdrawn")
    assert grid.tests(assigned_to=user, state="waiting").count() >= 2
    grid.dataset = Dataset.objects.get(pk=grid.dataset.pk)
    spread_confidences(grid)
    monkeypatch.setattr(known_answers, "_random", Always(2))
    return grid, user


def shape_of(value: Any) -> Any:
    """Return the keys and types of a JSON value."""
    if isinstance(value, dict):
        return {key: shape_of(one) for key, one in value.items()}
    return [shape_of(one) for one in value] if isinstance(value, list) else type(value)


def spread_confidences(grid: Any) -> None:
    """Give each prediction a confidence of its own, as those of a head."""
    for n, row in enumerate(Prediction.objects.order_by("pk")):
        row.confidence = float(np.float32(0.6 + n / 200))
        row.save(update_fields=["confidence"])


def page_of(client: Client, tile: Any) -> str:
    """Return the words of the page of an image, without its place among the others and its own numbers."""
    reply = client.get(reverse("image", args=[tile.item.image.dataset.slug, tile.item.image.sha256]))
    html = reply.content.decode()
    html = re.sub(r"<nav.*?</nav>", "", html[html.index("<main") : html.index("</main>")], flags=re.DOTALL)
    text = re.sub(r"<[^>]*>", " ", html)
    return " ".join(re.sub(r"[0-9a-f]{64}|image [0-9a-f]{8}|[0-9]+", "", text).split())


def known(page: GridPage) -> list[Any]:
    return [tile for tile in page.tiles if tile.item.stream == "gold"]


def test_known_answers_look_as_the_other_images(scene: Any) -> None:
    grid, user = scene
    client = Client()
    client.force_login(user)
    address = reverse("api:review-grid-next", args=[grid.dataset.slug])
    reply = client.post(address, {"count": 12}, content_type="application/json").json()
    gold = set(grid.tests().values_list("pk", flat=True))
    tests = [tile for tile in reply["tiles"] if tile["item"] in gold]
    normal = [tile for tile in reply["tiles"] if tile["item"] not in gold]
    assert len(tests) == 2 and len(reply["tiles"]) == 12, "they take the places of other images"
    assert "gold" not in json.dumps(reply) and "staged" not in json.dumps(reply)
    assert len({str(shape_of(tile)) for tile in reply["tiles"]}) == 1
    confidences = [tile["prediction"].pop("confidence") for tile in reply["tiles"]]
    assert len(set(confidences)) == 12, "two images have the same number"
    assert all(float(np.float32(number)) == number for number in confidences)
    for tile in reply["tiles"]:
        assert 0 <= tile["prediction"].pop("runner_up_confidence") < 0.5
    for tile in tests:
        assert tile["blind"] is False
        assert tile["prediction"] in [other["prediction"] for other in normal]
    assert reply["label"] == grid.labels[0].pk
    assert reply["labels"][0]["waiting"] >= 12
    again = client.post(address, {"count": 12}, content_type="application/json").json()
    assert [tile["item"] for tile in again["tiles"]] == [tile["item"] for tile in reply["tiles"]]


def test_answers_measure_and_set_no_label(scene: Any) -> None:
    grid, user = scene
    page = grid.page(user, count=12)
    missed, found = known(page)
    before = list(ConfirmedLabel.objects.order_by("pk").values())
    marks = {page.tiles.index(found): TileAnswer(found.item.pk, found.lease.pk, "correct", grid.labels[1].pk)}
    results = grid.confirm(user, page, marks)
    assert all(result.decision for result in results)
    assert list(ConfirmedLabel.objects.exclude(decision__user=user).order_by("pk").values()) == before
    assert ConfirmedLabel.objects.filter(decision__user=user).count() == 10
    decision = Decision.objects.get(item=missed.item)
    assert decision.kind == "confirm" and decision.label == grid.labels[0]
    assert decision.shown["staged"] is True and decision.shown["grid"]["tiles"] == 12
    answers = newest_gold_answers(grid, user)
    assert {(a.image, a.is_noticed) for a in answers} == {
        (missed.item.image_id, False),
        (found.item.image_id, True),
    }
    assert all(answer.in_grid and answer.is_foreign_tile for answer in answers)
    answer = answers[0]
    assert (answer.page_label, answer.known) == (grid.labels[0].pk, grid.labels[1].pk)
    assert grid.tests(state="done", assigned_to=user).count() == 2


def test_history_and_panel_do_not_tell_known_answers(scene: Any) -> None:
    grid, user = scene
    page = grid.page(user, count=12)
    client = Client()
    client.force_login(user)
    base = f"/api/v1/datasets/{grid.dataset.slug}/"
    for tile in page.tiles:
        for lease in (tile.lease.pk, None):
            address = f"{base}images/{tile.item.image.sha256}/why"
            reply = client.post(address, {"lease": lease}, content_type="application/json")
            assert (reply.status_code, reply.json()["code"]) == (409, "on_page")
    grid.confirm(user, page)
    gold = {tile.item.image.sha256 for tile in known(page)}
    rows = client.get(f"{base}review/history", {"count": 20}).json()["answers"]
    assert gold <= {row["image"]["sha256"] for row in rows}
    names = {tile.item.image.sha256: tile.item.image.name for tile in page.tiles}
    for row in rows:
        assert row["image"]["name"] == names[row["image"]["sha256"]] and row["label_now"] == ""
        assert row["blind"] is False and row["shown"]["label"] == grid.labels[0].pk


def test_pages_of_the_images_look_the_same_until_the_answers_are_final(scene: Any) -> None:
    grid, user = scene
    shown = grid.page(user, count=12)
    client = Client()
    client.force_login(user)
    slug = grid.dataset.slug

    def look() -> None:
        assert len({page_of(client, tile) for tile in shown.tiles}) == 1
        for query in ("confirmed=some", "confirmed=none", "waiting=waiting", "set_by=person", "sort=sure"):
            html = client.get(reverse("images", args=[slug]) + f"?{query}").content.decode()
            assert len({tile.item.image.sha256 in html for tile in shown.tiles}) == 1, query
        for name in ("image-original", "image-thumb", "image-display"):
            replies = [client.get(reverse(name, args=[slug, t.item.image.sha256])) for t in shown.tiles]
            assert len({(r.status_code, *sorted(r.headers)) for r in replies}) == 1, name

    look()
    before = hidden_count(grid.dataset)
    body = {
        "page": str(uuid.uuid4()),
        "milliseconds": 60_000,
        "tiles": [{"item": t.item.pk, "lease": t.lease.pk, "kind": "confirm"} for t in shown.tiles],
        "next": {"label": grid.labels[0].pk, "count": 6},
    }
    address = reverse("api:review-grid-answer", args=[slug])
    reply = client.post(address, body, content_type="application/json").json()
    rows = [{**tile, "item": 0, "decision": 0} for tile in reply["tiles"]]
    assert all(row == rows[0] for row in rows) and len(reply["next"]["tiles"]) == 6
    look()
    assert hidden_count(grid.dataset) == before + 6
    again = client.post(address, body, content_type="application/json").json()
    assert [tile["duplicate"] for tile in again["tiles"]] == [True] * 12
    history = client.get(f"/api/v1/datasets/{slug}/review/history", {"count": 12}).json()["answers"]
    texts = set()
    for row in history:
        correction = {
            "decision": row["decision"], "label": grid.labels[2].pk,
            "client_key": str(uuid.uuid4()), "milliseconds": 900,
        }  # fmt: skip
        address = reverse("api:review-history-correct", args=[slug])
        texts.add(client.post(address, correction, content_type="application/json").json()["text"])
    assert len(texts) == 1


def test_known_answer_of_a_page_that_was_left_is_withdrawn(scene: Any) -> None:
    grid, user = scene
    page = grid.page(user, count=12)
    left = known(page)
    leases = [tile.lease.pk for tile in page.tiles]
    services.release(dataset=grid.dataset, user=user, lease_ids=leases)
    assert set(grid.tests(state="withdrawn")) == {tile.item for tile in left}
    again = grid.page(user, count=12)
    assert not {tile.item for tile in left} & {tile.item for tile in again.tiles}
    # The leases of this page run out. The items are withdrawn before anybody gets them again.
    Lease.objects.filter(user=user).update(expires_at=timezone.now() - timedelta(minutes=10))
    services.next_items(dataset=grid.dataset, user=user, count=5)
    services.release_expired_leases()
    staged = Lease.objects.filter(shown__staged=True).values("item")
    assert not grid.tests(pk__in=staged, state="waiting")


def test_undo_of_a_page_brings_the_known_answers_back_as_they_were(scene: Any) -> None:
    grid, user = scene
    page = grid.page(user, count=12)
    grid.confirm(user, page)
    undone = services.undo_page(dataset=grid.dataset, user=user, client_key=uuid.uuid4())
    assert len(undone.undos) == 12
    again = grid.page(user, label=0, count=12)
    assert [tile.item for tile in again.tiles] == [tile.item for tile in page.tiles]
    assert [tile.prediction and tile.prediction["confidence"] for tile in again.tiles] == [
        tile.prediction["confidence"] for tile in page.tiles
    ]


def test_no_query_is_made_for_known_answers_when_their_share_is_zero(scene: Any) -> None:
    grid, user = scene
    grid.dataset.gold_share = 0
    with CaptureQueriesContext(connection) as queries:
        page = grid.page(user, count=12)
    assert not known(page)
    assert not any("goldimage" in query["sql"] for query in queries)


def test_queries_of_a_page_and_its_answers_do_not_grow_with_its_images(scene: Any) -> None:
    grid, user = scene
    counts = []
    for count in (6, 20):
        with CaptureQueriesContext(connection) as queries:
            page = grid.page(user, count=count)
        shown = len(queries)
        with CaptureQueriesContext(connection) as queries:
            grid.confirm(user, page)
        counts.append((shown, len(queries)))
    assert abs(counts[0][0] - counts[1][0]) <= 2
    assert counts[0][1] == counts[1][1] <= 30


def test_gold_image_whose_label_is_that_of_the_page_is_not_foreign(scene: Any) -> None:
    grid, user = scene
    page = grid.page(user, label=1)
    assert not known(page) or page.label.label != grid.labels[1].pk
