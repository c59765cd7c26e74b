"""Accuracy with images of different import times: each audited image has the weight of its group."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from django.urls import reverse
from django.utils import timezone
from sklearn import metrics as sk

from mekiki.datasets.models import Image, ImportBatch
from mekiki.exports.snapshot import _accuracy
from mekiki.labeling.services import archive_label
from mekiki.learning.models import Evaluation, Head, Prediction
from mekiki.review.models import ConfirmedLabel, QueueItem, Stream
from mekiki.review.selectors import audit_strata, reviewed_image_ids, training_labels
from tests.workers.conftest import COLOURS, add_image, picture
from workers.steps import auditing

pytestmark = pytest.mark.django_db
Work = Callable[..., dict[str, Any]]


def create_import(dataset: Any, images: list[Image]) -> ImportBatch:
    """Create an import that has just added these images."""
    batch = ImportBatch.objects.create(dataset=dataset, source="upload", finished_at=timezone.now())
    Image.objects.filter(pk__in=[image.pk for image in images]).update(batch=batch)
    return batch


def add_later_images(dataset: Any, n: int, first: int = 500) -> list[Image]:
    names = list(COLOURS)
    images = [
        add_image(
            dataset,
            picture(COLOURS[names[i % 3]], first + i),
            f"{names[i % 3]}-{first + i}.png",
            (i % 5) / 5 + 0.1,
        )
        for i in range(n)
    ]  # fmt: skip
    create_import(dataset, images)
    return images


@pytest.fixture
def reviewed(coloured: Any, work: Work, answer_queue: Callable[..., int]) -> Any:
    """Import the first 30 images and answer some of their audits."""
    create_import(coloured, list(coloured.images.all()))
    work(coloured, "encode")
    work(coloured, "predict")
    answer_queue(coloured)
    return coloured


def images_of(label: Any, **where: Any) -> set[int]:
    return set(ConfirmedLabel.objects.filter(label=label, **where).values_list("image_id", flat=True))


def newest(dataset: Any) -> Evaluation:
    return Evaluation.objects.filter(head__champion__dataset=dataset).latest("id")


def test_later_images_are_left_out_until_audited_and_then_weighted(
    reviewed: Any, work: Work, answer_queue: Callable[..., int], client: Any
) -> None:
    work(reviewed, "refill")
    first = newest(reviewed)
    assert first.share is None and first.left_out == 0 and len(first.report.strata) == 1
    fresh = add_later_images(reviewed, 60)
    work(reviewed, "encode")
    work(reviewed, "predict")
    second = newest(reviewed)
    assert (second.n, second.correct, second.left_out) == (first.n, first.correct, 60)
    client.force_login(reviewed.memberships.get(role="admin").user)
    for name, args in (
        ("head", [reviewed.slug, second.head.version]),
        ("models", [reviewed.slug]),
        ("overview", [reviewed.slug]),
        ("home", []),
    ):
        text = client.get(reverse(name, args=args), headers={"accept-language": "en"}).content.decode()
        assert "This figure does not cover 60 images" in text, name
    accuracy = _accuracy(second.head.dataset, second.head)
    assert accuracy["images_left_out"] == 60 and "whole dataset" not in accuracy["statement"]["en"]
    assert "does not cover 60 images" in accuracy["statement"]["en"] and "60枚" in accuracy["statement"]["ja"]

    audited = ConfirmedLabel.objects.filter(stream=Stream.AUDIT)
    # The queue mixes the streams at random: answer until a later image was audited.
    while not audited.filter(image__in=fresh).exists():
        assert answer_queue(reviewed, limit=8), "the queue is empty and no later image was audited"
    work(reviewed, "refill")
    third = newest(reviewed)
    new = audited.filter(image__in=fresh).count()
    old = audited.count() - new
    assert new and old and third.left_out == 0
    # The expected weight: images of the import / audited images of the import.
    head = Head.objects.get(champion__dataset=reviewed)
    predicted_labels = dict(Prediction.objects.filter(head=head).values_list("image_id", "label_id"))
    rows = list(audited.values_list("image_id", "label_id"))
    late = {image.pk for image in fresh}
    weights = [60 / new if image in late else 30 / old for image, _label in rows]
    right = [predicted_labels[image] == label for image, label in rows]
    by_hand = sum(w for w, r in zip(weights, right, strict=True) if r) / sum(weights)
    assert third.accuracy == pytest.approx(by_hand)
    if 60 / new != 30 / old:
        assert third.share == pytest.approx(by_hand)
    assert third.low <= third.accuracy <= third.high
    truth, predicted = [label for _image, label in rows], [predicted_labels[image] for image, _label in rows]
    precision, recall, _, _ = sk.precision_recall_fscore_support(
        truth, predicted, labels=head.label_ids, sample_weight=weights, zero_division=0.0
    )
    for i, row in enumerate(third.report.labels):
        assert (row.precision.value or 0.0) == pytest.approx(precision[i])
        assert (row.recall.value or 0.0) == pytest.approx(recall[i])
    assert [(s.images, s.audited) for s in third.report.strata] == [(30, old), (60, new)]
    assert sum(s.right for s in third.report.strata) == third.correct
    page = client.get(reverse("head", args=[reviewed.slug, head.version]), headers={"accept-language": "en"})
    assert "By time of import" in page.content.decode()


def test_imports_without_a_draw_between_them_are_one_stratum(reviewed: Any) -> None:
    hour = timedelta(hours=1)
    ImportBatch.objects.update(created_at=F("created_at") - 2 * hour, finished_at=F("finished_at") - 2 * hour)
    QueueItem.objects.update(created_at=F("created_at") - hour)
    add_later_images(reviewed, 4, 600)
    add_later_images(reviewed, 3, 700)
    strata = audit_strata(reviewed)
    assert [stratum.images for stratum in strata] == [30, 7]
    item = QueueItem.objects.filter(stream=Stream.AUDIT).latest("pk")
    batches = ImportBatch.objects.order_by("pk")
    QueueItem.objects.filter(pk=item.pk).update(created_at=batches[2].created_at)
    ImportBatch.objects.filter(pk=batches[2].pk).update(finished_at=timezone.now())
    assert [stratum.images for stratum in audit_strata(reviewed)] == [30, 4, 3]
    assert audit_strata(reviewed)[0].batches == [batches[0].pk]


def test_images_of_an_archived_label_are_queued_again(
    reviewed: Any, work: Work, answer_queue: Callable[..., int]
) -> None:
    """Otherwise the sample would hold no image of the class under its new name, and still claim accuracy."""
    from mekiki.review.services import answer, next_items

    work(reviewed, "refill")
    answer_queue(reviewed)
    admin = reviewed.memberships.get(role="admin").user
    blue = reviewed.labels.get(name="blue")
    outdated, audited = images_of(blue), images_of(blue, stream=Stream.AUDIT)
    assert outdated and audited and outdated <= reviewed_image_ids(reviewed)
    archive_label(label=blue, user=admin, confirmed=True)
    assert not outdated & reviewed_image_ids(reviewed)
    reviewed.queue_target = 30  # space for every image that may be reviewed
    reviewed.save()
    work(reviewed, "predict")
    work(reviewed, "train")
    waiting = QueueItem.objects.filter(dataset=reviewed, state=QueueItem.State.WAITING)
    stream_of_image = dict(waiting.filter(image__in=outdated).values_list("image_id", "stream"))
    assert set(stream_of_image) & audited and all(
        (stream_of_image[i] == Stream.AUDIT) == (i in audited) for i in stream_of_image
    )
    red = reviewed.labels.get(name="red")
    flagged = None
    while leased := next_items(dataset=reviewed, user=admin, count=1):
        item = leased[0]
        kind = "flag" if flagged is None and item.item.image_id in outdated else "correct"
        flagged = item.item.image_id if kind == "flag" else flagged
        answer(
            dataset=reviewed, user=admin, item_id=item.item.pk, lease_id=item.lease.pk, kind=kind,
            label=red if kind == "correct" else None, client_key=uuid.uuid4(),
        )  # fmt: skip
    remaining = ConfirmedLabel.objects.filter(label=blue)
    assert (
        flagged in {row.image_id for row in remaining}
        and len(remaining) <= len(outdated) - len(stream_of_image) + 1
    )
    assert flagged in reviewed_image_ids(reviewed), "a flagged image is not queued again"
    assert all(
        row.in_training == (row.image_id not in audited)
        for row in ConfirmedLabel.objects.filter(image__in=stream_of_image, label=red)
    )


def test_raised_share_adds_no_earlier_images_to_the_audit_reserve(
    coloured: Any, work: Work, answer_queue: Callable[..., int]
) -> None:
    """The uncertain stream took hard images between the old and the new share.

    The rest is no random sample.
    """
    from mekiki.datasets.services import update_settings
    from mekiki.review.selectors import audit_count, reserve_limits

    admin = coloured.memberships.get(role="admin").user
    update_settings(
        dataset=coloured, user=admin, audit_fraction=0.4
    )  # before the review: it is the share from the start
    coloured.refresh_from_db()
    work(coloured, "encode")
    work(coloured, "predict")
    assert reserve_limits(coloured) == []
    answer_queue(coloured, limit=6)
    update_settings(
        dataset=coloured, user=admin, audit_fraction=0.2
    )  # lower: the earlier draw is still valid
    assert reserve_limits(coloured) == []
    update_settings(dataset=coloured, user=admin, audit_fraction=0.8)
    last = Image.objects.filter(dataset=coloured).latest("pk").pk
    assert reserve_limits(coloured) == [(last, 0.2)]
    fresh = add_later_images(coloured, 20)
    work(coloured, "encode")
    coloured.refresh_from_db()
    for _ in range(8):
        work(coloured, "refill")
        answer_queue(coloured)
    audited_items = QueueItem.objects.filter(
        dataset=coloured, stream=Stream.AUDIT, state=QueueItem.State.DONE
    )
    new = {image.pk for image in fresh}
    later_items = audited_items.filter(
        created_at__gt=ImportBatch.objects.latest("pk").created_at
    ).select_related("image")
    assert {item.image.audit_key < 0.2 for item in later_items if item.image_id not in new} <= {True}
    assert any(item.image.audit_key > 0.2 for item in later_items if item.image_id in new)
    counted = ConfirmedLabel.objects.filter(stream=Stream.AUDIT).select_related("image")
    expected = [row for row in counted if row.image_id in new or row.image.audit_key < 0.2]
    assert audit_count(coloured) == len(expected) and len(expected) <= len(counted)


def test_audited_image_is_queued_again_as_audit_with_a_lower_share(
    reviewed: Any, work: Work, answer_queue: Callable[..., int]
) -> None:
    """Otherwise the image would be reviewed with its prediction visible, and still count as audited."""
    from mekiki.datasets.services import update_settings
    from mekiki.review.selectors import audit_sample

    work(reviewed, "refill")
    answer_queue(reviewed)
    admin = reviewed.memberships.get(role="admin").user
    blue = reviewed.labels.get(name="blue")
    audited = images_of(blue, stream=Stream.AUDIT)
    assert audited
    archive_label(label=blue, user=admin, confirmed=True)
    update_settings(dataset=reviewed, user=admin, audit_fraction=0.01, queue_target=30)
    reviewed.refresh_from_db()
    work(reviewed, "predict")
    work(reviewed, "train")
    work(reviewed, "refill")
    waiting = QueueItem.objects.filter(dataset=reviewed, state=QueueItem.State.WAITING, image__in=audited)
    assert {stream for (stream,) in waiting.values_list("stream")} == {Stream.AUDIT}
    # If it were reviewed actively, the answer would be no audit. The first answer still counts.
    sample = audit_sample(reviewed)
    assert sample
    label = ConfirmedLabel.objects.get(image=sample[0][0])
    other = type(label.decision).objects.create(
        dataset=reviewed, image=label.image, user=admin, kind="correct", label=label.label,
        client_key=uuid.uuid4(), shown={"stream": str(Stream.UNCERTAIN)},
    )  # fmt: skip
    ConfirmedLabel.objects.filter(pk=label.pk).update(decision=other)
    assert audit_sample(reviewed) == sample


def test_share_raised_before_the_first_head_applies_to_all_images(
    coloured: Any, work: Work, answer_queue: Callable[..., int]
) -> None:
    from mekiki.datasets.services import update_settings
    from mekiki.jobs.models import Job, Kind
    from mekiki.review.selectors import reserve_limits

    create_import(coloured, list(coloured.images.all()))
    admin = coloured.memberships.get(role="admin").user
    update_settings(dataset=coloured, user=admin, audit_fraction=0.6)
    coloured.refresh_from_db()
    work(coloured, "encode")
    work(coloured, "predict")
    assert reserve_limits(coloured) == [], "no head had predicted"
    add_later_images(coloured, 12)
    assert [stratum.images for stratum in audit_strata(coloured)] == [42]
    assert QueueItem.objects.filter(dataset=coloured).exists()
    Job.objects.all().delete()
    update_settings(dataset=coloured, user=admin, audit_fraction=0.75)
    assert Job.objects.get().kind == Kind.REFILL
    assert [share for _last, share in reserve_limits(coloured)] == [0.6]


def test_images_before_and_after_a_raised_share_are_two_strata(
    coloured: Any, work: Work, answer_queue: Callable[..., int]
) -> None:
    """Their probabilities of an audit differ, although no audit was answered in between."""
    from mekiki.datasets.services import update_settings
    from mekiki.review.selectors import reserve_limits
    from mekiki.review.services import next_items

    create_import(coloured, list(coloured.images.all()))
    admin = coloured.memberships.get(role="admin").user
    update_settings(dataset=coloured, user=admin, audit_fraction=0.0)
    coloured.refresh_from_db()
    work(coloured, "encode")
    work(coloured, "predict")
    assert next_items(dataset=coloured, user=admin, count=1), (
        "a reviewer has seen an image that was chosen by the share"
    )
    update_settings(dataset=coloured, user=admin, audit_fraction=0.75)
    assert [share for _last, share in reserve_limits(coloured)] == [0.0]
    add_later_images(coloured, 12)
    assert [stratum.images for stratum in audit_strata(coloured)] == [30, 12]


def test_audit_answer_during_the_evaluation_is_in_neither_figure(
    reviewed: Any, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = auditing.audit_sample, []

    def growing_sample(dataset: Any) -> list[Any]:
        calls.append(dataset)
        sample = list(real(dataset))
        return sample + sample[:1] * (len(calls) - 1)

    monkeypatch.setattr(auditing, "audit_sample", growing_sample)
    work(reviewed, "refill")
    estimate = newest(reviewed)
    assert estimate.answers - estimate.n == len(training_labels(reviewed))
