"""The panel Why over HTTP: neighbours, prompts, blind images, and what a decision records of it."""

import json
import uuid
from typing import Any

import numpy as np
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from mekiki.labeling.models import Prompt
from mekiki.learning.explaining import prompts as prompt_vectors
from mekiki.learning.models import Embedding, PromptEmbedding
from mekiki.review import services
from mekiki.review.models import Decision, Lease, QueueItem, Stream, WhyPanel
from tests.factories import UserFactory
from tests.roles import set_fixed
from tests.why_setup import WhyStation, trained_head
from workers.heads.serial import load_head

pytestmark = pytest.mark.django_db


class Browser:
    """The session of a member, or of a user without a role."""

    def __init__(self, station: WhyStation, role: str | None = "reviewer") -> None:
        self.user = station.reviewer(role) if role else UserFactory()
        self.base = f"/api/v1/datasets/{station.dataset.slug}/"
        self.client = Client()
        self.client.force_login(self.user)

    def send(self, method: str, address: str, body: Any = None, status: int = 200) -> Any:
        raw = body if isinstance(body, str | bytes) else json.dumps({} if body is None else body)
        more = {} if method == "get" else {"data": raw, "content_type": "application/json"}
        reply = getattr(self.client, method)(self.base + address, **more)
        assert reply.status_code == status, (reply.status_code, reply.content[:500])
        return reply.json()

    def next(self) -> dict[str, Any]:
        return self.send("post", "review/next", {"count": 1})["items"][0]

    def open(self, image: Any, lease: int | None = None, status: int = 200) -> Any:
        sha256 = image if isinstance(image, str) else image.sha256
        return self.send("post", f"images/{sha256}/why", {"lease": lease}, status)

    def answer(self, item: dict[str, Any], status: int = 200, **more: Any) -> Any:
        body = {
            "item": item["item"],
            "lease": item["lease"],
            "kind": "confirm",
            "client_key": str(uuid.uuid4()),
        }
        return self.send("post", "review/answer", body | more, status)


def test_panel_shows_nearest_confirmed_images_of_both_labels_and_an_answer_records_them(sent: Any) -> None:
    station = WhyStation(near=8)
    browser = Browser(station)
    item = browser.next()
    panel = browser.open(item["image"]["sha256"], item["lease"])
    assert [label["id"] for label in panel["labels"]] == [station.labels[0].pk, station.labels[1].pk]
    assert panel["exact"] and not panel["neighbours_problem"]
    own = np.asarray(Embedding.objects.get(image=station.items[0].image).vector)
    for group, label in zip(panel["neighbours"], station.labels, strict=False):
        expected = sorted(
            (
                -float(own @ np.asarray(Embedding.objects.get(image=row.image).vector)),
                row.image.sha256,
            )
            for row in station.confirmed
            if row.label == label
        )
        assert [image["sha256"] for image in group["images"]] == [sha256 for _s, sha256 in expected[:6]]
        assert group["images"][0]["similarity"] == pytest.approx(-expected[0][0], abs=2e-3)
        by = {row.image.sha256: row.decision for row in station.confirmed}
        for image in group["images"]:
            assert image["confirmed_by"] == by[image["sha256"]].user.username
    browser.answer(item, why=panel["id"])
    why = Decision.objects.get(item__isnull=False).shown["why"]
    shown = [image["sha256"] for group in panel["neighbours"] for image in group["images"]]
    ids = {row.image.sha256: row.image_id for row in station.confirmed}
    assert why == {
        "panel": panel["id"],
        "neighbours": [ids[sha256] for sha256 in shown],
        "prompts": [share["id"] for score in panel["scores"] for share in score["shares"]],
        "heat_map": None,
    }


def test_parts_of_the_score_add_up_to_the_score_of_the_head(sent: Any) -> None:
    station = WhyStation()
    panel = Browser(station, "viewer").open(station.items[0].image)
    x = np.asarray(Embedding.objects.get(image=station.items[0].image).vector, np.float32)
    logits = load_head(bytes(station.head.weights)).decision_function(x[None])[0]
    assert panel["scores_state"] == "ready" and panel["head_kind"] == "logistic"
    for place, score in enumerate(panel["scores"]):
        assert score["score"] == pytest.approx(logits[place], abs=0.006)
        assert round(score["prompts"] + score["trained"], 2) == score["score"]
        assert round(sum(share["points"] for share in score["shares"]), 2) == score["prompts"]
        (share,) = score["shares"]
        vector = np.asarray(PromptEmbedding.objects.get(prompt=share["id"]).vector, np.float64)
        assert share["similarity"] == pytest.approx(float(x @ vector), abs=1e-3)
        # α · s · cosine: the only prompt of the label is its class embedding.
        assert score["prompts"] == pytest.approx(0.5 * 20 * float(x @ vector), abs=0.01)


def test_prompts_are_requested_once_and_shown_when_the_worker_has_read_them(
    sent: Any, django_capture_on_commit_callbacks: Any
) -> None:
    station = WhyStation(prompts_known=False)
    browser = Browser(station)
    with django_capture_on_commit_callbacks(execute=True):
        panel = browser.open(station.items[0].image)
        assert (panel["scores_state"], panel["scores"]) == ("waiting", [])
        again = browser.send("get", f"why/{panel['id']}")
    assert again["id"] == panel["id"] and again["scores_state"] == "waiting"
    asked = [args for task, args in sent if task == "embed_prompts"]
    two = Prompt.objects.filter(label__in=station.labels[:2]).values_list("pk", flat=True)
    assert [(args[0], sorted(args[1])) for args in asked] == [(station.encoder.pk, sorted(two))]
    rows = prompt_vectors.waiting_prompts(station.encoder.pk, list(two))
    prompt_vectors.record_prompt_vectors(rows=rows, vectors=np.eye(2, 8))
    ready = browser.send("get", f"why/{panel['id']}")
    assert ready["scores_state"] == "ready" and len(ready["scores"]) == 2
    assert WhyPanel.objects.get().shown["prompts"] == [s["shares"][0]["id"] for s in ready["scores"]]


@pytest.mark.parametrize("stream", [Stream.AUDIT, Stream.CERTIFY])
def test_blind_images_have_no_panel_and_are_in_none(stream: str, sent: Any) -> None:
    station = WhyStation(items=2, near=2)
    browser, admin = Browser(station), Browser(station, "admin")
    # A confirmed image that waits in a blind stream: neither it nor its label may be shown.
    hidden = station.confirmed[0]
    station.item(stream=stream, image=hidden.image, predicted=False)
    panel = browser.open(station.items[0].image)
    assert hidden.image.sha256 not in json.dumps(panel)
    assert len(panel["neighbours"][0]["images"]) == 1
    for person in (browser, admin):
        refused = person.open(hidden.image, status=409)
        assert refused["code"] == "blind" and "neighbours" not in refused

    # The panel was opened before the image was drawn for a blind review.
    image = station.items[1].image
    before = browser.open(image)
    QueueItem.objects.filter(image=image).update(state=QueueItem.State.WITHDRAWN)
    station.item(stream=stream, image=image, predicted=False)
    for method, address in (("get", ""), ("post", "/heat-map")):
        assert browser.send(method, f"why/{before['id']}{address}", status=409)["code"] == "blind"
    assert [task for task, _args in sent if task == "draw_heat_map"] == []


def test_image_of_the_audit_reserve_has_no_panel(sent: Any) -> None:
    station = WhyStation(audit_fraction=0.2)
    image = station.image()
    station.item(image=image)  # predicted, but in no blind stream
    set_fixed(image, audit_key=0.1)
    assert Browser(station, "viewer").open(image, status=409)["code"] == "blind"


@pytest.mark.parametrize("stream", [Stream.GOLD, Stream.REPEAT])
def test_panel_does_not_tell_that_an_image_waits_as_a_test(stream: str, sent: Any) -> None:
    station = WhyStation(items=0)
    browser, other = Browser(station), Browser(station)
    image = station.image()
    item = station.item(stream=stream, image=image)
    QueueItem.objects.filter(pk=item.pk).update(assigned_to=browser.user, overlap=1)
    for person in (browser, other):
        assert person.open(image)["labels"], "the page of the image shows its prediction, too"
    assert browser.next()["blind"]
    for person in (browser, other):
        assert person.open(image, status=409)["code"] == "blind"


def test_images_on_a_page_of_the_grid_have_no_panel(sent: Any) -> None:
    station = WhyStation(items=6, gold_share=0.0)
    browser, other = Browser(station), Browser(station)
    page = browser.send("post", "review/grid/next", {"count": 6})
    (tile, *_rest) = page["tiles"]
    sha256 = tile["image"]["sha256"]
    for lease in (tile["lease"], None):
        assert browser.open(sha256, lease, status=409)["code"] == "on_page"
    assert other.open(sha256)["labels"]
    answers = [{"item": t["item"], "lease": t["lease"], "kind": "confirm"} for t in page["tiles"]]
    body = {"page": str(uuid.uuid4()), "milliseconds": 60_000, "tiles": answers}
    browser.send("post", "review/grid/answer", body)
    browser.send("post", "review/grid/undo", {"client_key": str(uuid.uuid4())})
    assert browser.open(sha256, status=409)["code"] == "on_page", "the page is shown again"


def test_blind_lease_is_refused(sent: Any) -> None:
    station = WhyStation(items=0)
    image = station.image()
    station.item(stream=Stream.AUDIT, image=image)
    browser = Browser(station)
    item = browser.next()
    assert item["blind"]
    assert browser.open(image, item["lease"], status=409)["code"] == "blind"
    assert not WhyPanel.objects.exists()


def test_panel_explains_what_was_shown_not_the_head_in_use_now(sent: Any) -> None:
    station = WhyStation()
    browser = Browser(station)
    item = browser.next()
    other = trained_head(station.dataset, station.encoder, seed=1)
    from mekiki.learning.models import Champion

    Champion.objects.filter(dataset=station.dataset).update(head=other)
    assert browser.open(item["image"]["sha256"], item["lease"])["head"] == station.head.version
    # The page of the image shows the head in use, which has no prediction yet.
    assert browser.open(item["image"]["sha256"], status=409)["code"] == "no_prediction"


def test_foreign_panels_and_leases_are_refused(sent: Any) -> None:
    station = WhyStation(items=2)
    one, two, stranger = Browser(station), Browser(station), Browser(station, None)
    item, other = one.next(), two.next()
    panel = one.open(item["image"]["sha256"], item["lease"])
    assert two.open(item["image"]["sha256"], item["lease"], status=404)["code"] == "unknown_lease"
    assert two.send("get", f"why/{panel['id']}", status=404)["code"] == "unknown_panel"
    assert two.send("post", f"why/{panel['id']}/heat-map", status=404)["code"] == "unknown_panel"
    assert stranger.open(item["image"]["sha256"], status=404)["code"] == "not_found"
    assert Browser(station, "viewer").open(item["image"]["sha256"], item["lease"], status=403)
    # Another person's panel, a panel of another image, of the image's page, and of nothing.
    page = one.open(item["image"]["sha256"])
    for given in (panel["id"], page["id"], str(uuid.uuid4())):
        assert two.answer(other, why=given, status=422)["code"] == "unknown_panel"
    for bad in ("", "x", 7, {"neighbours": [1]}, "0" * 10_000):
        assert two.answer(other, why=bad, status=422)["code"] == "malformed"
    # The own panel of the image's page was not open in the station.
    assert one.answer(item, why=page["id"], status=422)["code"] == "unknown_panel"
    assert not Decision.objects.filter(item__isnull=False).exists()
    assert "why" not in (two.answer(other), Decision.objects.get(item__isnull=False).shown)[1]


@pytest.mark.parametrize("body", ["", "[]", "null", '{"lease": "1"}', '{"lease": -1}', '{"lease": 1e30}',
                                  '{"lease": null, "neighbours": [1]}', "{" * 500])  # fmt: skip
def test_malformed_requests_open_no_panel(body: str, sent: Any) -> None:
    station = WhyStation()
    reply = Browser(station).client.post(
        f"/api/v1/datasets/{station.dataset.slug}/images/{station.items[0].image.sha256}/why",
        body,
        content_type="application/json",
    )
    assert reply.status_code in (400, 422)
    assert not WhyPanel.objects.exists()


@pytest.mark.parametrize("sha256", ["x", "0" * 64, "%00", "a" * 3000])
def test_unknown_images_have_no_panel(sha256: str, sent: Any) -> None:
    station = WhyStation()
    reply = Browser(station).client.post(
        f"/api/v1/datasets/{station.dataset.slug}/images/{sha256}/why", "{}", content_type="application/json"
    )
    assert reply.status_code == 404


def test_image_without_embedding_says_so(sent: Any) -> None:
    station = WhyStation()
    bare = station.item().image
    panel = Browser(station).open(bare)
    assert panel["neighbours"] == [] and "embedding" in panel["neighbours_problem"]
    assert panel["scores_state"] == "problem" and "embedding" in panel["scores_problem"]


def test_head_with_damaged_bytes_is_reported(sent: Any) -> None:
    station = WhyStation()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    set_fixed(station.head, weights=b"\xff" * 40)
    panel = Browser(station).open(station.items[0].image)
    assert panel["scores_state"] == "problem" and panel["neighbours"]


def test_closed_panel_costs_an_answer_no_query(sent: Any) -> None:
    station = WhyStation(items=6)
    browser = Browser(station)
    browser.answer(browser.next())  # compiles the queries

    def queries(**more: Any) -> int:
        item = browser.next()
        if more:
            more["why"] = browser.open(item["image"]["sha256"], item["lease"])["id"]
        with CaptureQueriesContext(
            connection,
        ) as captured:
            browser.answer(item, **more)
        assert ("review_whypanel" in str(captured.captured_queries)) == bool(more)
        return len(captured)

    closed = queries()
    assert queries(why=True) == closed + 1


def test_old_panels_are_deleted(sent: Any) -> None:
    station = WhyStation()
    browser = Browser(station)
    item = browser.next()
    kept = browser.open(item["image"]["sha256"], item["lease"])
    page = browser.open(item["image"]["sha256"])
    assert browser.open(item["image"]["sha256"])["id"] == page["id"]  # the same panel again
    assert services.delete_old_panels() == 0
    for panel in WhyPanel.objects.all():
        set_fixed(panel, created_at=panel.created_at - 2 * services.why.PAGE_PANELS_KEPT)
    assert services.delete_old_panels() == 1
    assert {str(panel.pk) for panel in WhyPanel.objects.all()} == {kept["id"]} != {page["id"]}
    Lease.objects.all().delete()
    assert not WhyPanel.objects.exists()
