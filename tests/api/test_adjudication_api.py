"""Adjudication and overlap over HTTP: roles, forms, refusals, hidden names, and the way back."""

import json
import uuid
from typing import Any

import pytest
from django.test import Client

from mekiki.accounts.models import Membership
from mekiki.review.models import ConfirmedLabel, Decision, Stream, StreamOverlap
from tests.review_setup import Station
from tests.roles import set_fixed

pytestmark = pytest.mark.django_db


class Scene:
    """A disputed image, an adjudicator who is logged in, and other users."""

    def __init__(self, stream: str = Stream.UNCERTAIN) -> None:
        self.station = Station(overlap=2)
        item = self.station.item(stream=stream)
        set_fixed(item.image, audit_key=0.01 if stream == Stream.AUDIT else 0.99, name="scratch_001.png")
        self.image = item.image
        self.parties = [self.station.reviewer() for _ in range(2)]
        for user, label in zip(self.parties, self.station.labels, strict=False):
            self.station.answer(user, self.station.next(user)[0], "correct", label=label, note="mine")
        self.item = item.pk
        self.judge = self.station.reviewer()
        Membership.objects.filter(user=self.judge).update(is_adjudicator=True)
        self.admin = self.station.reviewer("admin")

    def send(self, path: str, body: Any = None, *, user: Any = None, expect: int = 200) -> Any:
        client = Client()
        client.force_login(user or self.judge)
        url = f"/api/v1/datasets/{self.station.dataset.slug}/{path}"
        if body is None:
            response = client.get(url)
        else:
            response = client.post(url, json.dumps(body), content_type="application/json")
        assert response.status_code == expect, response.content
        return response.json()

    def rule(self, **more: Any) -> Any:
        body = {"label": self.station.labels[2].pk, "note": "because", "client_key": str(uuid.uuid4())}
        keywords = {k: more.pop(k) for k in ("expect", "user") if k in more}
        return self.send(f"adjudication/{self.item}/rule", body | more, **keywords)


def test_dispute_is_listed_ruled_on_and_undone():
    scene = Scene()
    page = scene.send("adjudication")
    assert [(row["item"], sorted(one["reviewers"] for one in row["labels"])) for row in page["disputes"]] == [
        (scene.item, [1, 1])
    ]
    assert (page["others"], page["own"], page["next"]) == (1, 0, None)
    detail = scene.send(f"adjudication/{scene.item}")
    assert [answer["reviewer"] for answer in detail["answers"]] == ["Reviewer A", "Reviewer B"]
    assert detail["disputed"] and not detail["blind"] and detail["ruling"] is None
    key = str(uuid.uuid4())
    ruled = scene.rule(client_key=key)
    assert scene.rule(client_key=key) == ruled | {"duplicate": True}
    assert ConfirmedLabel.objects.get().decision_id == ruled["decision"]
    assert scene.send(f"adjudication/{scene.item}")["ruling"]["note"] == "because"
    assert scene.send("adjudication")["disputes"] == []
    assert scene.rule(expect=409)["code"] == "already_ruled"
    made = scene.send(f"adjudication/rulings/{ruled['decision']}/reference", {"accepted": True})
    assert (made["label"], made["note"]) == (scene.station.labels[2].pk, "because")
    doubts = scene.send(f"adjudication/rulings/{ruled['decision']}/doubts")
    assert doubts["images"] == [] and "no embedding" in doubts["problem"]
    body = {"client_key": str(uuid.uuid4()), "decision": ruled["decision"]}
    undone = scene.send("adjudication/undo", body)
    assert scene.send("adjudication/undo", body) == undone | {"duplicate": True}
    assert not ConfirmedLabel.objects.exists() and scene.send("adjudication")["others"] == 1


def test_names_are_shown_if_the_admin_wants_it():
    scene = Scene()
    body = {"hide_names_from_adjudicators": False}
    assert scene.send("overlap", body, user=scene.admin)["hide_names_from_adjudicators"] is False
    names = [answer["reviewer"] for answer in scene.send(f"adjudication/{scene.item}")["answers"]]
    assert names == [user.username for user in scene.parties]


def test_blind_dispute_shows_no_name_and_no_prediction():
    scene = Scene(Stream.AUDIT)
    text = json.dumps([scene.send("adjudication"), scene.send(f"adjudication/{scene.item}")])
    assert "scratch_001" not in text and "confidence" not in text and "head_digest" not in text
    assert scene.send(f"adjudication/{scene.item}")["blind"] is True
    scene.rule()
    assert (
        "audit sample"
        in scene.send(f"adjudication/rulings/{Decision.objects.latest('pk').pk}/doubts")["problem"]
    )


def test_other_users_are_refused():
    scene, other = Scene(), Scene()
    for path, body in (
        ("adjudication", None),
        (f"adjudication/{scene.item}", None),
        ("adjudication/undo", {"client_key": str(uuid.uuid4())}),
        ("adjudication/rulings/1/doubts", None),
        ("adjudication/rulings/1/recheck", {"images": ["0" * 64]}),
        ("adjudication/rulings/1/reference", {"accepted": True}),
    ):
        scene.send(path, body, user=scene.parties[0], expect=403)
        scene.send(path, body, user=scene.station.reviewer("viewer"), expect=403)
        scene.send(path, body, user=other.judge, expect=404)
    scene.rule(user=scene.parties[0], expect=403)
    scene.send(f"adjudication/{other.item}", expect=404)
    for path in ("adjudication/rulings/1/doubts", f"adjudication/{2**63}"):
        scene.send(path, expect=404)
    scene.send("adjudication/rulings/1/recheck", {"images": ["0" * 64]}, expect=404)
    scene.send("overlap", user=scene.judge, expect=403)
    scene.send("overlap", {"overlap": 2}, user=scene.judge, expect=403)
    assert not Decision.objects.filter(kind="rule").exists()


@pytest.mark.parametrize(
    "more",
    [
        {"note": ""},
        {"note": "  "},
        {"note": "x" * 2001},
        {"note": "\x00"},
        {"note": "\ud800"},
        {"label": -1},
        {"label": "1; DROP TABLE"},
        {"label": 2**63},
        {"client_key": "no"},
        {"milliseconds": -1},
        {"milliseconds": 10},
    ],
)
def test_malformed_ruling_is_refused(more: dict[str, Any]):
    scene = Scene()
    scene.rule(**more, expect=422)
    assert not Decision.objects.filter(kind="rule").exists()


def test_overlaps_are_read_and_changed():
    scene = Scene()
    label = scene.station.labels[0]
    body = {
        "overlap": 1,
        "critical_overlap": 2,
        "streams": {"audit": 3},
        "labels": {str(label.pk): 2},
    }
    reply = scene.send("overlap", body, user=scene.admin)
    assert reply == scene.send("overlap", user=scene.admin)
    assert (reply["overlap"], reply["critical_overlap"]) == (1, 2)
    assert reply["streams"] == {"uncertain": None, "diverse": None, "audit": 3, "recheck": None}
    assert reply["labels"][0] == {
        "id": label.pk,
        "name": label.name,
        "code": "",
        "min_overlap": 2,
        "least": 2,
    }
    for wrong in (
        {"overlap": 0}, {"critical_overlap": 10}, {"streams": {"gold": 2}}, {"streams": {"audit": 0}},
        {"labels": {"0": 2}}, {"labels": {str(2**62): 2}}, {"other": 1}, {"labels": {str(label.pk): 10}},
        {"streams": {"audit": 2, "x\x00": 2}},
    ):  # fmt: skip
        scene.send("overlap", wrong, user=scene.admin, expect=422)
    assert StreamOverlap.objects.get().overlap == 3
    scene.send("overlap", {"streams": {"audit": None}}, user=scene.admin)
    assert not StreamOverlap.objects.exists()
