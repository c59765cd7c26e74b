"""The extension of a certificate to later images: labels, audits, alarm, suspension and recheck."""

from typing import Any

import pytest
from django.core.exceptions import ValidationError

from mekiki.audit.models import Event
from mekiki.datasets.models import Image
from mekiki.jobs.models import ACTIVE_STATES, Job, Kind
from mekiki.learning.models import Champion
from mekiki.learning.services import promote
from mekiki.quality.certificates import machine_labelled_ids
from mekiki.quality.models import Certificate, CertificateStream, StreamAudit, StreamImage
from mekiki.quality.services.certificates import (
    StreamCandidate,
    check_stream,
    draw_next,
    end_audit,
    end_stream,
    extend_to_stream,
    label_stream,
    recheck_doubtful,
    record_freeze,
    revoke,
    start,
)
from mekiki.quality.stop_reasons import StopReason
from mekiki.quality.streams import MOST_WAITING, doubtful_images, read_stream_state
from mekiki.review.models import ConfirmedLabel, QueueItem, Stream
from mekiki.review.services import fill_queue
from tests.factories import ConfirmedLabelFactory, HeadFactory, ImageFactory
from tests.quality_setup import SEED, CertifiedPool, accepted, certified, make_protocol
from verification.certificates.stream import StreamMonitor, stream_audits

pytestmark = pytest.mark.django_db
State = Certificate.State


class StreamedPool:
    """An accepted certificate that is extended to later images."""

    def __init__(self, share: float = 1.0) -> None:
        self.world = accepted()
        self.stream = extend_to_stream(certificate=self.world.certificate, user=self.world.admin, share=share)
        self.images: list[Image] = []

    @property
    def certificate(self) -> Certificate:
        return Certificate.objects.select_related("dataset", "head").get(pk=self.world.certificate.pk)

    def bring_in(self, count: int) -> int:
        """Import images that are predicted as the first label, and set their labels; return how many were."""
        new = [ImageFactory(dataset=self.world.dataset) for _ in range(count)]
        self.images += new
        return self.label(new)

    def label(self, images: list[Image]) -> int:
        return label_stream(
            certificate=self.world.certificate,
            candidates=[
                StreamCandidate(image.pk, image.sha256, self.world.labels[0].pk, 0.9, 0.0) for image in images
            ],
        )

    def answer(self, count: int, *, wrong: bool = False) -> None:
        """Answer the next audits, and check the stream as its job does after each answer."""
        for _ in range(count):
            [leased] = self.world.next(self.world.people[0])
            assert leased.item.stream == Stream.CERTIFY and leased.blind
            self.world.answer(
                self.world.people[0], leased, "correct", label=self.world.labels[1 if wrong else 0]
            )
            checked = check_stream(certificate=self.world.certificate)
            assert checked.state == self.certificate.state

    def refresh(self) -> CertificateStream:
        self.stream.refresh_from_db()
        return self.stream

    def later_labelled(self) -> set[int]:
        """Return the ids of the later images whose label set by machine is valid."""
        return machine_labelled_ids(self.world.dataset) & {image.pk for image in self.images}


def test_extension_publishes_a_commitment_and_the_lowest_confidence_of_the_region() -> None:
    pool = StreamedPool(share=0.12345)
    assert pool.stream.share == 0.1234  # steps of 0.01 %
    region = pool.certificate.images.filter(rank__lte=pool.certificate.region)
    assert pool.stream.confidence == min(region.values_list("confidence", flat=True))
    event = Event.objects.get(kind="certificate.extended")
    assert event.data["commitment"] == pool.stream.commitment
    seed = bytes(pool.stream.seed).hex()
    assert seed not in str(list(Event.objects.values_list("data", flat=True)))
    assert Job.objects.filter(kind=Kind.CERTIFY, state__in=ACTIVE_STATES).exists()
    end_stream(certificate=pool.certificate, user=pool.world.admin)
    assert Event.objects.get(kind="certificate.stream_ended").data["seed"] == seed


@pytest.mark.parametrize("share", [0, -1, 1.1, 0.00001])
def test_share_out_of_range_is_refused(share: float) -> None:
    world = accepted()
    with pytest.raises(ValidationError, match="audited share"):
        extend_to_stream(certificate=world.certificate, user=world.admin, share=share)
    assert not CertificateStream.objects.exists()


def test_only_an_accepted_certificate_of_the_head_in_use_is_extended_once() -> None:
    passed = certified()
    with pytest.raises(ValidationError, match="another state"):
        extend_to_stream(certificate=passed.certificate, user=passed.admin, share=0.1)
    pool = StreamedPool()
    with pytest.raises(ValidationError, match="extended to later images before"):
        extend_to_stream(certificate=pool.certificate, user=pool.world.admin, share=0.1)
    pool.world.certificate.refresh_from_db()
    # No promotion suspends it here, as if the hook had not been called yet.
    Champion.objects.filter(dataset=pool.world.dataset).update(
        head=HeadFactory(dataset=pool.world.dataset, version=99)
    )
    assert pool.bring_in(3) == 0


def test_later_images_get_valid_labels_and_audits_that_anybody_can_recompute() -> None:
    pool = StreamedPool(share=0.3)
    assert pool.bring_in(60) == 60
    assert pool.refresh().accepted == 60
    rows = list(StreamImage.objects.order_by("number"))
    assert [row.number for row in rows] == list(range(1, 61))
    assert [row.image_id for row in rows] == [image.pk for image in pool.images]
    chosen = stream_audits(bytes(pool.stream.seed), [image.sha256 for image in pool.images], 0.3)
    assert [row.is_audited for row in rows] == chosen and 0 < sum(chosen) < 60
    audits = StreamAudit.objects.order_by("number").values_list("image_id", flat=True)
    assert list(audits) == [image.pk for image, one in zip(pool.images, chosen) if one]
    assert pool.later_labelled() == {image.pk for image in pool.images}
    assert not QueueItem.objects.exclude(stream=Stream.CERTIFY).exists()


def test_labels_wait_for_reviewers_when_many_audits_wait() -> None:
    """Otherwise labels would be set long before an audit could speak against them."""
    pool = StreamedPool()
    assert pool.bring_in(MOST_WAITING + 5) == MOST_WAITING
    assert pool.label(pool.images[MOST_WAITING:]) == 0
    pool.answer(2)
    assert pool.label(pool.images[MOST_WAITING:]) == 2


def test_right_answers_give_no_alarm() -> None:
    pool = StreamedPool()
    pool.bring_in(30)
    pool.answer(30)
    stream = pool.refresh()
    assert (stream.audits, stream.errors, stream.alarm_at) == (30, 0, None)
    assert stream.evidence < 1 and stream.checked_to == 30
    assert pool.certificate.state == State.ACCEPTED
    assert pool.later_labelled() == set()  # people have judged all of them now


def test_wrong_answers_suspend_the_certificate_and_its_doubtful_labels() -> None:
    pool = StreamedPool(share=0.5)
    pool.bring_in(80)
    pool.answer(6)
    good = pool.refresh().checked_to
    assert good >= 6
    pool.answer(1, wrong=True)
    while pool.certificate.state == State.ACCEPTED:
        pool.answer(1, wrong=True)
    certificate, stream = pool.certificate, pool.refresh()
    assert certificate.state == State.SUSPENDED and certificate.stop_reason == StopReason.STREAM_ERRORS
    assert stream.alarm_at and stream.ended_at and stream.evidence >= 20 and stream.errors > 5
    # The state is that of the published e-process over the answers in their order.
    monitor = StreamMonitor(0.5, 0.05).extend([False] * 6 + [True] * stream.errors)
    assert stream.evidence == pytest.approx(monitor.evidence) and monitor.alarm
    assert stream.doubtful_from == good + 1
    # The labels of the frozen region and those before the checkpoint stay.
    judged = set(ConfirmedLabel.objects.values_list("image", flat=True))
    before = {image.pk for image in pool.images[:good]} - judged
    assert machine_labelled_ids(pool.world.dataset) == pool.world.left() | before
    # Nothing waits for an audit any more, and no further label is set.
    assert not QueueItem.objects.filter(state=QueueItem.State.WAITING).exists()
    assert pool.bring_in(5) == 0


def test_doubtful_images_are_sent_to_review_in_one_act() -> None:
    pool = StreamedPool(share=0.5)
    pool.bring_in(60)
    with pytest.raises(ValidationError, match="none of their labels is in doubt"):
        recheck_doubtful(certificate=pool.certificate, user=pool.world.admin)
    while pool.certificate.state == State.ACCEPTED:
        pool.answer(1, wrong=True)
    doubtful = list(doubtful_images(pool.refresh()).values_list("image_id", flat=True))
    judged = set(ConfirmedLabel.objects.values_list("image", flat=True))
    assert doubtful == [image.pk for image in pool.images if image.pk not in judged]
    sent = recheck_doubtful(certificate=pool.certificate, user=pool.world.admin)
    waiting = QueueItem.objects.filter(state=QueueItem.State.WAITING).order_by("position")
    assert sent == len(doubtful) and list(waiting.values_list("image_id", flat=True)) == doubtful
    assert set(waiting.values_list("stream", flat=True)) == {Stream.RECHECK}
    assert recheck_doubtful(certificate=pool.certificate, user=pool.world.admin) == 0
    assert Event.objects.filter(kind="certificate.recheck_requested").count() == 2
    # A refill does not take them away.
    fill_queue(dataset=pool.world.dataset, head=pool.world.head, image_ids=[], streams=[], propensities=[])
    assert waiting.count() == sent
    assert pool.refresh().rechecked_at is not None


def test_other_causes_stop_the_stream_after_its_last_audit() -> None:
    """No audit speaks for the images that were accepted after the last answer."""
    pool = StreamedPool(share=0.5)
    pool.bring_in(40)
    pool.answer(3)
    checked = pool.refresh().checked_to
    promote(head=HeadFactory(dataset=pool.world.dataset, version=99), reason="")
    assert pool.certificate.state == State.SUSPENDED
    stream = pool.refresh()
    assert stream.doubtful_from == checked + 1 and stream.alarm_at is None
    labelled = set(ConfirmedLabel.objects.values_list("image", flat=True))
    assert pool.later_labelled() == {image.pk for image in pool.images[:checked]} - labelled


def test_ended_extension_keeps_the_certificate() -> None:
    pool = StreamedPool(share=0.5)
    pool.bring_in(40)
    pool.answer(2)
    certificate = end_stream(certificate=pool.certificate, user=pool.world.admin)
    assert certificate.state == State.ACCEPTED and pool.world.left() <= machine_labelled_ids(
        pool.world.dataset
    )
    assert pool.bring_in(3) == 0
    with pytest.raises(ValidationError, match="not extended"):
        end_stream(certificate=pool.certificate, user=pool.world.admin)


def test_revoked_certificate_keeps_no_label_of_its_stream() -> None:
    pool = StreamedPool()
    pool.bring_in(10)
    revoke(certificate=pool.certificate, user=pool.world.admin)
    assert machine_labelled_ids(pool.world.dataset) == set() and pool.refresh().ended_at
    assert not QueueItem.objects.filter(state=QueueItem.State.WAITING).exists()


def test_flagged_audit_counts_as_wrong_until_it_is_answered() -> None:
    pool = StreamedPool()
    pool.bring_in(3)
    [leased] = pool.world.next(pool.world.people[0])
    assert pool.refresh().audits == 0  # an opened image is no answer
    pool.world.answer(pool.world.people[0], leased, "flag")
    check_stream(certificate=pool.certificate)
    assert (pool.refresh().audits, pool.stream.errors) == (1, 1)


def test_undone_answer_is_left_out_until_it_is_given_again() -> None:
    pool = StreamedPool()
    pool.bring_in(3)
    pool.answer(1, wrong=True)
    pool.world.undo(pool.world.people[0])
    check_stream(certificate=pool.certificate)
    assert (pool.refresh().audits, pool.stream.errors) == (0, 0)
    pool.answer(1)
    assert (pool.refresh().audits, pool.stream.errors) == (1, 0)
    assert read_stream_state(pool.stream).monitor.audits == 1


def test_answer_of_an_audit_starts_the_job(django_capture_on_commit_callbacks: Any) -> None:
    pool = StreamedPool()
    pool.bring_in(2)
    Job.objects.all().delete()
    [leased] = pool.world.next(pool.world.people[0])
    with django_capture_on_commit_callbacks(execute=True):
        pool.world.answer(pool.world.people[0], leased, "correct", label=pool.world.labels[0])
    assert Job.objects.get(kind=Kind.CERTIFY).payload == {"certificate": pool.certificate.pk}


def test_audits_of_a_stream_and_of_a_new_certificate_do_not_disturb_each_other() -> None:
    """The end of the audit of one certificate withdraws only its own images."""
    pool = StreamedPool()
    pool.bring_in(5)
    world: CertifiedPool = pool.world
    world.certificate = start(dataset=world.dataset, user=world.admin, protocol=make_protocol())
    later = world.certificate
    left = [image for image in world.images if image.pk in world.left()]
    world.images = left
    frozen = record_freeze(
        certificate=later, head=world.head, pool=world.pool(), seed=SEED, commitment="0" * 64
    )
    assert frozen is not None
    world.certificate = frozen
    draw_next(certificate=frozen, state=world.state)
    end_audit(certificate=frozen, user=None)
    waiting = QueueItem.objects.filter(state=QueueItem.State.WAITING).values_list("image_id", flat=True)
    assert set(waiting) == {image.pk for image in pool.images}


def test_label_of_a_person_wins_over_a_label_of_the_stream() -> None:
    pool = StreamedPool(share=0.01)
    pool.bring_in(10)
    ConfirmedLabelFactory(dataset=pool.world.dataset, image=pool.images[0], label=pool.world.labels[2])
    assert pool.images[0].pk not in pool.later_labelled() and len(pool.later_labelled()) == 9
