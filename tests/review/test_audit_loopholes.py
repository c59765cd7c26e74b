"""Ways to improve the accuracy unnoticed: each one is prevented, or counted and shown."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from mekiki.datasets.services import update_settings
from mekiki.exports.snapshot import _accuracy
from mekiki.labeling.effects import effects_of
from mekiki.labeling.services import archive_label, restore_label
from mekiki.learning.accuracy import notes_on_counts
from mekiki.learning.reports import EvaluationReport
from mekiki.learning.services import record_evaluation
from mekiki.review import blinding, selectors
from mekiki.review.audit_counts import audit_counts
from mekiki.review.models import ConfirmedLabel, Lease, Stream
from mekiki.review.services import confirmed, correct_label, fill_queue, release, retire_audit
from tests.factories import DatasetFactory, HeadFactory, ImageFactory, MembershipFactory
from tests.review_setup import Station
from tests.roles import set_fixed

pytestmark = pytest.mark.django_db


@pytest.fixture
def grace_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the grace period of two minutes end, so that predictions are visible right after an answer."""
    for module in (confirmed, blinding):
        monkeypatch.setattr(module, "AUDIT_UNDO_PERIOD", timedelta(0))


def station_with_audit(overlap: int = 1, **settings: Any) -> tuple[Station, Any]:
    station = Station(overlap=overlap, **settings)
    item = station.item(stream=Stream.AUDIT)
    set_fixed(item.image, audit_key=0.01)
    return station, item


def sample(station: Station) -> list[int]:
    return [label for _image, label, _batch in selectors.audit_sample(station.dataset)]


@pytest.mark.parametrize("second", ["the same reviewer", "another reviewer"])
def test_a_late_first_answer_is_not_replaced_by_one_in_time(grace_is_over: None, second: str) -> None:
    """The lease expired, so the first answer is late.

    It was blind nevertheless, and ends the audit of the image.
    """
    station, item = station_with_audit()
    user, other = station.reviewer(), station.reviewer()
    leased = station.next(user)[0]
    Lease.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert station.answer(user, leased, "correct", label=station.labels[1]).late
    assert sample(station) == [station.labels[1].pk]
    assert not blinding.hidden_ids(station.dataset, [item.image_id]), "the prediction can be seen now"
    station.undo(user)
    again = station.next(user)[0]
    if second == "another reviewer":
        release(dataset=station.dataset, user=user, lease_ids=[again.lease.pk])
        user, again = other, station.next(other)[0]
    assert not station.answer(user, again, "correct", label=station.labels[0]).late
    assert sample(station) == [station.labels[1].pk]


def test_answer_after_the_accuracy_was_shown_does_not_replace_the_first() -> None:
    """The figure shows whether the head agreed with the answer.

    A reviewer who answers again knows the prediction.
    """
    station, _item = station_with_audit()
    user = station.reviewer()
    station.answer(user, station.next(user)[0], "correct", label=station.labels[1])
    record_evaluation(
        head=station.head, n=1, correct=0, low=0.0, high=0.8, answers=1, report=EvaluationReport()
    )
    station.undo(user)
    station.answer(user, station.next(user)[0], "correct", label=station.labels[0])
    assert sample(station) == [station.labels[1].pk]


def test_archiving_a_label_with_audits_needs_confirmation(grace_is_over: None) -> None:
    """The image was corrected later, so no image has the label. Its audit still counts under that label."""
    station, item = station_with_audit()
    user = station.reviewer("admin")
    station.answer(user, station.next(user)[0], "correct", label=station.labels[1])
    correct_label(
        dataset=station.dataset, user=user, image_id=item.image_id, label_id=station.labels[2].pk,
        client_key=uuid.uuid4(), head_version=station.head.version,
    )  # fmt: skip
    row = ConfirmedLabel.objects.get()
    assert (row.label_id, row.audit_label_id) == (station.labels[2].pk, station.labels[1].pk)
    assert [effect.audited for effect in effects_of(station.labels)] == [0, 1, 0]
    with pytest.raises(ValidationError) as refused:
        archive_label(label=station.labels[1], user=user)
    assert "audit sample" in " ".join(refused.value.messages)
    archive_label(label=station.labels[1], user=user, confirmed=True)
    assert audit_counts(station.dataset).archived_label == 1


def test_images_with_visible_predictions_do_not_join_the_reserve() -> None:
    """The share is lowered, the predictions are read, the share is raised.

    These images were not hidden all the time.
    """
    station = Station(audit_fraction=0.5)
    admin = station.reviewer("admin")
    image = ImageFactory(dataset=station.dataset, audit_key=0.3)
    assert blinding.hidden_ids(station.dataset, [image.pk])
    station.dataset = update_settings(dataset=station.dataset, user=admin, audit_fraction=0.0)
    assert not blinding.hidden_ids(station.dataset, [image.pk])
    station.dataset = update_settings(dataset=station.dataset, user=admin, audit_fraction=0.5)
    limits = selectors.reserve_limits(station.dataset)
    assert limits and limits[0][1] == 0.0


@pytest.mark.parametrize("first", [0.0, 0.15])
def test_share_raised_after_the_first_head_applies_to_later_images_only(first: float) -> None:
    """Every member may read predictions of images outside the reserve, also without a review."""
    station = Station(audit_fraction=first)
    admin = station.reviewer("admin")
    image = ImageFactory(dataset=station.dataset, audit_key=0.3)
    assert not blinding.hidden_ids(station.dataset, [image.pk])
    station.dataset = update_settings(dataset=station.dataset, user=admin, audit_fraction=0.5)
    assert selectors.reserve_limits(station.dataset) == [(image.pk, first)]
    assert not blinding.hidden_ids(station.dataset, [image.pk])
    later = ImageFactory(dataset=station.dataset, audit_key=0.3)
    assert blinding.hidden_ids(station.dataset, [image.pk, later.pk]) == {later.pk}


def test_share_raised_before_the_first_head_applies_to_all_images() -> None:
    dataset = DatasetFactory(audit_fraction=0.0)
    admin = MembershipFactory(dataset=dataset, role="admin").user
    image = ImageFactory(dataset=dataset, audit_key=0.3)
    dataset = update_settings(dataset=dataset, user=admin, audit_fraction=0.5)
    HeadFactory(dataset=dataset)
    assert selectors.reserve_limits(dataset) == []
    assert blinding.hidden_ids(dataset, [image.pk]) == {image.pk}


def test_audit_of_an_archived_label_is_queued_again_after_a_correction(
    grace_is_over: None,
) -> None:
    """The audit counts as wrong, permanently, because a correction to another label is no audit."""
    station, item = station_with_audit()
    admin = station.reviewer("admin")
    station.answer(admin, station.next(admin)[0], "correct", label=station.labels[1])
    correct_label(
        dataset=station.dataset, user=admin, image_id=item.image_id, label_id=station.labels[2].pk,
        client_key=uuid.uuid4(), head_version=station.head.version,
    )  # fmt: skip
    assert item.image_id in selectors.reviewed_image_ids(station.dataset)
    assert not blinding.hidden_ids(station.dataset, [item.image_id])
    archive_label(label=station.labels[1], user=admin, confirmed=True)
    assert item.image_id not in selectors.reviewed_image_ids(station.dataset)
    assert blinding.hidden_ids(station.dataset, [item.image_id])
    fill_queue(
        dataset=station.dataset, head=station.head, image_ids=[item.image_id], streams=[Stream.AUDIT],
        propensities=[0.5],
    )  # fmt: skip
    again = station.next(admin)[0]
    assert again.item.image_id == item.image_id and again.item.stream == Stream.AUDIT
    station.answer(admin, again, "correct", label=station.labels[0])
    assert sample(station) == [station.labels[0].pk]
    counts = audit_counts(station.dataset)
    assert (counts.counted, counts.archived_label, counts.judged_again) == (1, 0, 1)
    assert item.image_id in selectors.reviewed_image_ids(station.dataset)
    assert not blinding.hidden_ids(station.dataset, [item.image_id])


def test_image_judged_again_after_its_label_was_archived_is_counted(grace_is_over: None) -> None:
    """Its prediction could be read before the label was archived.

    The report shows this next to the better figure.
    """
    station, item = station_with_audit()
    admin = station.reviewer("admin")
    station.answer(admin, station.next(admin)[0], "correct", label=station.labels[1])
    archive_label(label=station.labels[1], user=admin, confirmed=True)
    assert audit_counts(station.dataset).archived_label == 1
    station.item(stream=Stream.AUDIT, image=item.image)
    station.answer(admin, station.next(admin)[0], "correct", label=station.labels[0])
    assert sample(station) == [station.labels[0].pk]
    counts = audit_counts(station.dataset)
    assert (counts.counted, counts.archived_label, counts.judged_again, counts.drawn) == (1, 0, 1, 1)
    assert counts and "was judged again after its label was archived" in " ".join(notes_on_counts(counts))
    restore_label(label=station.labels[1], user=admin)
    assert sample(station) == [station.labels[1].pk] and audit_counts(station.dataset).judged_again == 0


def test_accuracy_statement_names_audits_moved_into_training(grace_is_over: None) -> None:
    station, _item = station_with_audit()
    admin = station.reviewer("admin")
    station.answer(admin, station.next(admin)[0], "correct", label=station.labels[1])
    retire_audit(dataset=station.dataset, user=admin)
    accuracy = _accuracy(station.dataset, station.head)
    assert accuracy["n"] == 0 and (accuracy["audited_drawn"], accuracy["audited_retired"]) == (1, 1)
    assert "1 audited image was moved into training" in accuracy["statement"]["en"]
    assert "1 枚" in accuracy["statement"]["ja"]


def test_released_audit_images_stay_with_their_reviewer() -> None:
    """A reviewer who releases the difficult ones of five leased images does not get five other images."""
    station = Station(queue_target=0)
    items = [station.item(stream=Stream.AUDIT) for _ in range(5)] + [station.item()]
    user = station.reviewer()
    first_items = station.next(user, 5)
    station.answer(user, first_items[2], "correct", label=station.labels[0])
    release(dataset=station.dataset, user=user, lease_ids=[first_item.lease.pk for first_item in first_items])
    fill_queue(dataset=station.dataset, head=station.head, image_ids=[], streams=[], propensities=[])
    waiting = {leased.item.pk for leased in station.next(user, 5)}
    assert waiting == {item.pk for item in items[:5]} - {first_items[2].item.pk}
