"""Impossible numbers at the doors of the review: a clear refusal, and nothing is recorded."""

import json
import uuid
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from mekiki.review import services
from mekiki.review.errors import InvalidAnswerError
from mekiki.review.models import Decision, Lease
from tests.review.test_adjudication import Case
from tests.review_setup import Station

pytestmark = pytest.mark.django_db

# JSON texts. Python's json reads NaN and Infinity.
BAD_TIMES = [
    "2147483648",
    "1e400",
    "9223372036854775808",
    "-1",
    "NaN",
    "-Infinity",
    "true",
    '"300"',
    "300.5",
    "[]",
]


@pytest.fixture
def post() -> Any:
    """Return a function that posts JSON text for a user, and returns the status and the reply."""

    def send(user: Any, address: str, body: str) -> tuple[int, dict[str, Any]]:
        client = Client(raise_request_exception=True)
        client.force_login(user)
        reply = client.post(address, body, content_type="application/json")
        return reply.status_code, reply.json()

    return send


def _body(time: str, **more: Any) -> str:
    filled = {"client_key": str(uuid.uuid4()), **more, "milliseconds": "TIME"}
    return json.dumps(filled).replace('"TIME"', time)


@pytest.mark.parametrize("time", BAD_TIMES)
def test_impossible_time_is_refused_at_every_door_and_nothing_is_recorded(time: str, post: Any):
    station = Station(items=7)
    user = station.reviewer()
    first = station.answer(user, station.next(user)[0])
    page = services.next_page(dataset=station.dataset, user=user, count=6)
    tile = page.tiles[0]
    case = Case()
    before, leases = Decision.objects.count(), list(Lease.objects.order_by("pk").values())
    slug, label = station.dataset.slug, station.labels[1].pk
    held = {"item": tile.item.pk, "lease": tile.lease.pk, "kind": "correct", "label": label}
    for who, address, body in [
        (user, reverse("api:review-answer", args=[slug]), _body(time, **held)),
        (
            user,
            reverse("api:review-grid-answer", args=[slug]),
            _body(time, page=str(uuid.uuid4()), tiles=[held]),
        ),
        (
            user,
            reverse("api:review-history-correct", args=[slug]),
            _body(time, decision=first.pk, label=label),
        ),
        (
            case.judge,
            reverse("api:rule", args=[case.dataset.slug, case.item.pk]),
            _body(time, label=case.station.labels[2].pk, note="because"),
        ),
    ]:
        status, reply = post(who, address, body)
        assert status == 422, (address, status, reply)
    assert Decision.objects.count() == before
    assert list(Lease.objects.order_by("pk").values()) == leases


@pytest.mark.parametrize("time", ["9" * 17, "-5", "nan", "1e9", "３００", "9" * 30])
def test_impossible_time_of_a_ruling_is_refused_by_the_page(time: str):
    case = Case()
    client = Client()
    client.force_login(case.judge)
    reply = client.post(
        reverse("review-rule", args=[case.dataset.slug, case.item.pk]),
        {
            "label": case.station.labels[2].pk,
            "note": "because",
            "client_key": str(uuid.uuid4()),
            "milliseconds": time,
        },
    )
    assert reply.status_code == 422
    assert "no possible number of milliseconds" in reply.content.decode()
    assert not Decision.objects.filter(kind="rule").exists() and case.waiting() == 1


@pytest.mark.parametrize("time", [2**31, -1, True, 1.5, float("nan"), "300"])
def test_services_refuse_an_impossible_time(time: Any):
    station = Station(items=1)
    user = station.reviewer()
    (held,) = station.next(user)
    with pytest.raises(InvalidAnswerError) as error:
        station.answer(user, held, milliseconds=time)
    assert error.value.code == "bad_time"
    assert station.answer(user, held, milliseconds=2**31 - 1).milliseconds == 2**31 - 1


@pytest.mark.parametrize("count", ["true", '"2"', "1.5", "0", "-1", "1e99", "NaN", "null"])
def test_impossible_number_of_images_is_refused_and_nothing_is_held(count: str, post: Any):
    station = Station(items=2)
    user = station.reviewer()
    for name in ("review-next", "review-grid-next"):
        address = reverse(f"api:{name}", args=[station.dataset.slug])
        status, _reply = post(user, address, f'{{"count": {count}}}')
        assert status == 422, name
    assert not Lease.objects.exists()
