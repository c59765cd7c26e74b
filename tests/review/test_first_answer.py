"""The first answer of an audit counts, and no decision after the prediction was visible."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from mekiki.review import blinding, selectors
from mekiki.review.audit_counts import audit_counts
from mekiki.review.models import ConfirmedLabel, Stream
from mekiki.review.services import confirmed
from tests.review_setup import Station
from tests.roles import set_fixed

pytestmark = pytest.mark.django_db


@pytest.fixture
def grace_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the grace period of two minutes end, so that predictions are visible right after an answer."""
    for module in (confirmed, blinding):
        monkeypatch.setattr(module, "AUDIT_UNDO_PERIOD", timedelta(0))


def station_with_audit(overlap: int = 1) -> tuple[Station, Any]:
    station = Station(overlap=overlap)
    item = station.item(stream=Stream.AUDIT)
    set_fixed(item.image, audit_key=0.01)
    return station, item


def page_text(station: Station, user: Any, item: Any) -> str:
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)
    return client.get(reverse("image", args=[station.dataset.slug, item.image.sha256])).content.decode()


def sample(station: Station) -> list[int]:
    return [label for _image, label, _batch in selectors.audit_sample(station.dataset)]


def test_second_answer_after_the_prediction_was_visible_does_not_count(grace_is_over: None) -> None:
    station, item = station_with_audit()
    user = station.reviewer()
    station.answer(user, station.next(user)[0], "correct", label=station.labels[1])
    assert "80.0 %" in page_text(station, user, item), "the prediction can be seen now"
    station.undo(user)
    assert "80.0 %" not in page_text(station, user, item)
    assert audit_counts(station.dataset).taken_back == 1, "the undone answer is counted and shown"
    station.answer(user, station.next(user)[0], "correct", label=station.labels[0])
    assert sample(station) == [station.labels[1].pk], "the answer before the prediction was visible"
    row = ConfirmedLabel.objects.get()
    assert row.label == station.labels[0] and not row.in_training, "the label set uses the newest answer"
    # Repeated answers do not change this.
    for label in station.labels:
        station.undo(user)
        station.answer(user, station.next(user)[0], "correct", label=label)
    assert sample(station) == [station.labels[1].pk]


def test_answer_corrected_within_two_minutes_replaces_the_first() -> None:
    """The page hides the prediction for two minutes, so the second answer is as blind as the first."""
    station, item = station_with_audit()
    user = station.reviewer()
    station.answer(user, station.next(user)[0], "correct", label=station.labels[1])
    text = page_text(station, user, item)
    assert "80.0 %" not in text and item.image.name not in text
    station.undo(user)
    station.answer(user, station.next(user)[0], "correct", label=station.labels[0])
    assert sample(station) == [station.labels[0].pk]
    ConfirmedLabel.objects.update(audited_at=ConfirmedLabel.objects.get().audited_at - timedelta(minutes=3))
    text = page_text(station, user, item)
    assert "80.0 %" in text and item.image.name in text


def test_first_answer_of_every_reviewer_counts_with_overlap(grace_is_over: None) -> None:
    station, item = station_with_audit(overlap=2)
    one, two = station.reviewer(), station.reviewer()
    station.answer(one, station.next(one)[0], "correct", label=station.labels[1])
    assert "80.0 %" not in page_text(station, one, item), "the other reviewer has not answered yet"
    station.answer(two, station.next(two)[0], "correct", label=station.labels[1])
    assert sample(station) == [station.labels[1].pk] and "80.0 %" in page_text(station, one, item)
    for user in (one, two):
        station.undo(user)
    for user in (one, two):
        station.answer(user, station.next(user)[0], "correct", label=station.labels[0])
    assert sample(station) == [station.labels[1].pk]
    assert ConfirmedLabel.objects.get().label == station.labels[0]


def test_audit_with_differing_first_answers_is_not_counted(grace_is_over: None) -> None:
    station, _item = station_with_audit(overlap=2)
    one, two = station.reviewer(), station.reviewer()
    station.answer(one, station.next(one)[0], "correct", label=station.labels[1])
    station.answer(two, station.next(two)[0], "correct", label=station.labels[2])
    station.undo(two)
    station.answer(two, station.next(two)[0], "correct", label=station.labels[1])
    assert ConfirmedLabel.objects.get().label == station.labels[1]
    assert sample(station) == [] and audit_counts(station.dataset).prediction_shown == 1


def test_audit_repeated_after_its_label_was_archived_counts(grace_is_over: None) -> None:
    station, item = station_with_audit()
    user = station.reviewer()
    station.answer(user, station.next(user)[0], "correct", label=station.labels[1])
    station.labels[1].archived_at = item.created_at
    station.labels[1].save()
    assert "80.0 %" not in page_text(station, user, item), "the image is queued again as blind"
    station.item(stream=Stream.AUDIT, image=item.image)
    station.answer(user, station.next(user)[0], "correct", label=station.labels[2])
    assert sample(station) == [station.labels[2].pk]
