"""A confirmed label is corrected on the image's page, undone there, or sent to review again."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied

from mekiki.audit.models import Event
from mekiki.review import blinding, selectors, services
from mekiki.review.errors import InvalidAnswerError, NotFoundForReviewerError, ReviewError
from mekiki.review.models import ConfirmedLabel, Decision, QueueItem, Stream
from mekiki.review.services import confirmed
from tests.factories import DatasetFactory, ImageFactory, LabelFactory
from tests.review_setup import Station
from tests.roles import set_fixed

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def grace_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (confirmed, blinding):
        monkeypatch.setattr(module, "AUDIT_UNDO_PERIOD", timedelta(0))


def make_judged_image(stream: str = Stream.UNCERTAIN, overlap: int = 1) -> tuple[Station, Any, Any]:
    """Create a station with one image that its reviewers labelled with the first label."""
    station = Station(overlap=overlap)
    item = station.item(stream=stream)
    if stream == Stream.AUDIT:
        set_fixed(item.image, audit_key=0.01)
    reviewer = station.reviewer()
    for user in [reviewer, *(station.reviewer() for _ in range(overlap - 1))]:
        station.answer(user, station.next(user)[0], "correct", label=station.labels[0])
    return station, item.image, reviewer


def correct(station: Station, user: Any, image: Any, label: int = 1, **more: Any) -> Decision:
    return services.correct_label(
        **{
            "dataset": station.dataset,
            "user": user,
            "image_id": image.pk,
            "label_id": station.labels[label].pk,
            "client_key": uuid.uuid4(),
            "head_version": station.head.version,
            **more,
        }
    )


@pytest.mark.parametrize("overlap", [1, 2])
def test_correction_is_a_new_decision_and_replaces_the_label(overlap: int) -> None:
    station, image, first = make_judged_image(overlap=overlap)
    before = list(Decision.objects.order_by("pk"))
    other = station.reviewer()
    decision = correct(station, other, image, note="seen under the microscope")
    assert decision.kind == "correct" and decision.supersedes is None and decision.note
    assert decision.shown["label"] == station.labels[0].pk and decision.shown["stream"] == "recheck"
    row = ConfirmedLabel.objects.get()
    assert (row.label, row.decision, row.stream, row.in_training) == (
        station.labels[1], decision, "recheck", True,
    )  # fmt: skip
    assert list(Decision.objects.exclude(pk=decision.pk).order_by("pk")) == before
    assert not QueueItem.objects.filter(state="waiting").exists(), "the image is not queued again"
    event = Event.objects.filter(kind="decision.recorded").latest("pk")
    assert (event.data["image"], event.data["label"]) == (image.sha256, station.labels[1].pk)
    # And back to the head's label: a confirmation of the label that the page shows.
    again = correct(station, first, image, label=0)
    assert again.kind == "confirm" and ConfirmedLabel.objects.get().label == station.labels[0]


def test_first_answer_of_an_audit_counts_after_a_correction() -> None:
    station, image, user = make_judged_image(Stream.AUDIT)
    correct(station, user, image)
    row = ConfirmedLabel.objects.get()
    assert (row.label, row.audit_label, row.stream) == (station.labels[1], station.labels[0], "audit")
    assert not row.in_training, "the image is not trained on"
    assert [label for _i, label, _b in selectors.audit_sample(station.dataset)] == [station.labels[0].pk]


def test_form_sent_twice_records_one_decision() -> None:
    station, image, user = make_judged_image()
    key = uuid.uuid4()
    first = correct(station, user, image, client_key=key)
    second = correct(station, user, image, client_key=key)
    assert first == second and second.duplicate and not first.duplicate
    with pytest.raises(ReviewError) as error:
        correct(station, user, image, label=2, client_key=key)
    assert error.value.code == "key_used" and ConfirmedLabel.objects.get().label == station.labels[1]


def test_invalid_corrections_are_refused_and_change_nothing() -> None:
    station, image, user = make_judged_image()
    unjudged = station.item().image
    foreign = LabelFactory(dataset=DatasetFactory())
    elsewhere = ImageFactory()
    for code, kind, more in (
        ("same_label", ReviewError, {"label": 0}),
        ("no_label", ReviewError, {"image_id": unjudged.pk}),
        ("unknown_label", NotFoundForReviewerError, {"label_id": foreign.pk}),
        ("unknown_image", NotFoundForReviewerError, {"image_id": elsewhere.pk}),
        ("prediction_replaced", ReviewError, {"head_version": station.head.version + 1}),
        ("prediction_replaced", ReviewError, {"head_version": None}),
        ("note_too_long", InvalidAnswerError, {"note": "x" * 2001}),
        ("bad_note", InvalidAnswerError, {"note": "a\x00b"}),
    ):
        with pytest.raises(kind) as error:
            correct(station, user, image, **more)
        assert error.value.code == code
    station.labels[1].archived_at = image.created_at
    station.labels[1].save()
    with pytest.raises(ReviewError, match="archived"):
        correct(station, user, image)
    for role in ("viewer", None):
        stranger = station.reviewer(role) if role else DatasetFactory().created_by or Station().reviewer()
        for act in (
            lambda user=stranger: correct(station, user, image, label=2),
            lambda user=stranger: services.request_recheck(
                dataset=station.dataset, user=user, image_id=image.pk
            ),
            lambda user=stranger: services.take_back_correction(
                dataset=station.dataset, user=user, image_id=image.pk
            ),
        ):
            with pytest.raises(PermissionDenied):
                act()
    assert Decision.objects.count() == 1 and ConfirmedLabel.objects.get().label == station.labels[0]


def test_newest_correction_can_be_undone_by_its_author() -> None:
    station, image, user = make_judged_image()
    other = station.reviewer()

    def take_back(author: Any) -> Decision:
        return services.take_back_correction(dataset=station.dataset, user=author, image_id=image.pk)

    with pytest.raises(ReviewError, match="not the newest"):
        take_back(user)  # the answer at the station is no correction
    correct(station, other, image)
    with pytest.raises(ReviewError, match="not the newest"):
        take_back(user)
    undone = take_back(other)
    assert undone.kind == "undo" and undone.supersedes.user == other
    assert ConfirmedLabel.objects.get().label == station.labels[0]
    assert not QueueItem.objects.filter(state="waiting").exists()
    with pytest.raises(ReviewError):
        take_back(other)


def test_image_sent_to_review_comes_next_and_survives_a_refill() -> None:
    station, image, user = make_judged_image()
    station.item()
    item = services.request_recheck(dataset=station.dataset, user=user, image_id=image.pk)
    assert item.stream == Stream.RECHECK and ConfirmedLabel.objects.count() == 1
    again = services.request_recheck(dataset=station.dataset, user=user, image_id=image.pk)
    assert again == item, "two requests create one queue item"
    services.fill_queue(dataset=station.dataset, head=station.head, image_ids=[], streams=[], propensities=[])
    leased = station.next(user)[0]
    assert leased.item == item and not leased.blind
    station.answer(user, leased, "correct", label=station.labels[2])
    assert ConfirmedLabel.objects.get(image=image).label == station.labels[2]
    event = Event.objects.filter(kind="queue.asked_again").first()
    assert event.data["image"] == image.sha256


def test_audited_image_is_queued_again_as_blind() -> None:
    station, image, user = make_judged_image(Stream.AUDIT)
    assert not blinding.hidden_ids(station.dataset, [image.pk])
    services.request_recheck(dataset=station.dataset, user=user, image_id=image.pk)
    assert blinding.hidden_ids(station.dataset, [image.pk]), "the prediction is hidden until the new answer"
    with pytest.raises(ReviewError) as error:
        correct(station, user, image)
    assert error.value.code == "blind"
    services.fill_queue(dataset=station.dataset, head=station.head, image_ids=[], streams=[], propensities=[])
    leased = station.next(user)[0]
    assert leased.blind and leased.prediction is None
    station.answer(user, leased, "correct", label=station.labels[2])
    row = ConfirmedLabel.objects.get()
    assert (row.label, row.audit_label) == (station.labels[2], station.labels[0])
    assert [label for _i, label, _b in selectors.audit_sample(station.dataset)] == [station.labels[0].pk]
