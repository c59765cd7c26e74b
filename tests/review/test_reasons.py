"""A skip and a flag have a reason, which is stored, sealed and refused where it does not fit."""

import uuid

import pytest
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.test import Client

from mekiki.audit.models import Event
from mekiki.review.errors import InvalidAnswerError
from mekiki.review.models import Decision
from mekiki.review.sealing import DECISIONS
from tests.factories import UserFactory
from tests.review_setup import Station

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("kind", "reason"), [("skip", "unclear"), ("skip", "other"), ("flag", "duplicate"), ("flag", "")]
)
def test_reason_is_stored_with_the_answer_and_its_event(kind: str, reason: str):
    station = Station(items=1)
    user = station.reviewer()
    decision = station.answer(user, station.next(user)[0], kind, reason=reason, note="left edge")
    decision.refresh_from_db()
    assert (decision.kind, decision.reason, decision.note) == (kind, reason, "left edge")
    data = Event.objects.get(kind="decision.recorded").data
    assert data.get("reason", "") == reason
    assert ("reason" in data) == bool(reason)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("confirm", "unclear"),
        ("skip", "duplicate"),
        ("flag", "unclear"),
        ("skip", "blurred"),
        ("flag", "x" * 99),
    ],
)
def test_reason_that_does_not_fit_is_refused_and_nothing_is_recorded(kind: str, reason: str):
    station = Station(items=1)
    user = station.reviewer()
    leased = station.next(user)[0]
    with pytest.raises(InvalidAnswerError, match="Nothing was recorded"):
        station.answer(user, leased, kind, reason=reason)
    assert not Decision.objects.exists()
    assert station.next(user)[0].lease == leased.lease


def test_database_refuses_a_reason_that_does_not_fit():
    station = Station(items=1)
    user = station.reviewer()
    item = station.items[0]
    for kind, reason in (("confirm", "unclear"), ("skip", "duplicate"), ("flag", "expert"), ("skip", "new")):
        with pytest.raises(IntegrityError, match="reason_fits_decision"), transaction.atomic():
            Decision.objects.create(
                dataset=station.dataset,
                image=item.image,
                item=item,
                user=user,
                kind=kind,
                label=station.labels[0] if kind == "confirm" else None,
                reason=reason,
                client_key=uuid.uuid4(),
            )


def test_user_without_a_role_skips_nothing():
    station = Station(items=1)
    user = station.reviewer()
    leased = station.next(user)[0]
    with pytest.raises(PermissionDenied):
        station.answer(UserFactory(), leased, "skip", reason="unclear")
    assert not Decision.objects.exists()


def test_sealed_record_has_the_reason_and_is_unchanged_without_one():
    station = Station(items=2)
    user = station.reviewer()
    plain = station.answer(user, station.next(user)[0], "skip")
    named = station.answer(user, station.next(user)[0], "skip", reason="expert")
    records = dict(DECISIONS.rows(after=None, upto=None))
    # A record without a reason is the record that earlier versions sealed.
    assert b"reason" not in records[plain.pk]
    assert b'"reason":"expert"' in records[named.pk]


def post_answer(station: Station, user, **more):
    leased = station.next(user)[0]
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)
    body = {"item": leased.item.pk, "lease": leased.lease.pk, "client_key": str(uuid.uuid4()), **more}
    url = f"/api/v1/datasets/{station.dataset.slug}/review/answer"
    return client.post(url, body, content_type="application/json")


def test_api_takes_a_reason_and_an_answer_without_one():
    station = Station(items=2)
    user = station.reviewer()
    assert post_answer(station, user, kind="skip", reason="not_in_list").status_code == 200
    assert post_answer(station, user, kind="flag").status_code == 200
    assert list(Decision.objects.order_by("pk").values_list("kind", "reason")) == [
        ("skip", "not_in_list"),
        ("flag", ""),
    ]


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "skip", "reason": "blurred"},
        {"kind": "skip", "reason": None},
        {"kind": "skip", "reason": ["unclear"]},
        {"kind": "confirm", "reason": "unclear"},
        {"kind": "flag", "reason": "unclear\u0000"},
    ],
)
def test_api_refuses_a_hostile_reason(body):
    station = Station(items=1)
    reply = post_answer(station, station.reviewer(), **body)
    assert reply.status_code == 422
    assert not Decision.objects.exists()


def test_answer_sent_twice_keeps_the_first_reason():
    station = Station(items=1)
    user, key = station.reviewer(), uuid.uuid4()
    leased = station.next(user)[0]
    first = station.answer(user, leased, "skip", reason="unclear", client_key=key)
    again = station.answer(user, leased, "skip", reason="expert", client_key=key)
    assert again == first and again.duplicate and again.reason == "unclear"
    assert Decision.objects.count() == 1
