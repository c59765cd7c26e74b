"""The acts on a certificate: start, freeze, draw, end, accept, suspend, revoke and cancel."""

import hashlib
import uuid
from typing import Any

import numpy as np
import pytest
from django.core.exceptions import PermissionDenied, ValidationError

from mekiki.audit.models import Event
from mekiki.datasets.models import ImportBatch
from mekiki.jobs.models import Job, Kind
from mekiki.labeling.services import archive_label, update_label
from mekiki.learning.services import promote
from mekiki.quality.audit_state import read_audit_state
from mekiki.quality.certificates import machine_labelled_ids, protocol_of
from mekiki.quality.models import Certificate, CertificateAudit, CertificateImage, MachineLabel
from mekiki.quality.services.certificates import (
    accept,
    cancel,
    draw_audits,
    draw_next,
    end_audit,
    mark_accepted,
    record_freeze,
    revoke,
    set_machine_labels,
    start,
)
from mekiki.quality.stop_reasons import StopReason
from mekiki.review import services
from mekiki.review.blinding import hidden_ids
from mekiki.review.models import ConfirmedLabel, QueueItem, Stream
from mekiki.review.selectors import reviewed_image_ids
from mekiki.review.services.certificate_audits import blind_labels
from tests.factories import ConfirmedLabelFactory, DatasetFactory, HeadFactory, ImageFactory
from tests.quality_setup import SEED, CertifiedPool, accepted, certified, make_protocol
from tests.review_setup import Station
from verification.certificates.decision import OPEN, RIGHT
from verification.certificates.record import PoolImage, pool_digest

pytestmark = pytest.mark.django_db
State = Certificate.State


def test_start_stores_the_protocol_and_starts_a_job() -> None:
    station = Station()
    admin = station.reviewer("admin")
    protocol = make_protocol(alpha=0.02, delta=0.1, limit=50, test="planned")
    certificate = start(
        dataset=station.dataset, user=admin, protocol=protocol, overlap=2, public_words=" dice 3 1 6 "
    )
    assert certificate.state == State.FREEZING and certificate.test == Certificate.Test.PLANNED
    assert protocol_of(certificate) == protocol
    event = Event.objects.get(kind="certificate.started")
    assert event.data["alpha"] == 0.02 and event.data["limit"] == 50
    assert event.data["public_words"] == "dice 3 1 6"
    job = Job.objects.get(kind=Kind.CERTIFY)
    assert job.payload == {"certificate": certificate.pk}
    with pytest.raises(ValidationError, match="Another certificate is running"):
        start(dataset=station.dataset, user=admin, protocol=protocol)


@pytest.mark.parametrize(
    ("protocol", "values"),
    [
        ({"alpha": 0.6}, {}),
        ({"delta": 0.6}, {}),
        ({"delta": 1e-9}, {}),
        ({"limit": 100_001}, {}),
        ({"levels": tuple(n / 100 for n in range(1, 60))}, {}),
        ({"critical_bound": 1.5}, {}),
        ({"critical_bound": float("nan")}, {}),
        ({"alpha_by_label": {"0": 0.1}}, {}),
        ({}, {"overlap": 0}),
        ({}, {"overlap": 4}),
        ({}, {"public_words": "x" * 501}),
        ({}, {"note": "x" * 301}),
    ],
)
def test_start_out_of_range_is_refused(protocol: dict[str, Any], values: dict[str, Any]) -> None:
    station = Station()
    with pytest.raises(ValidationError):
        start(
            dataset=station.dataset,
            user=station.reviewer("admin"),
            protocol=make_protocol(**protocol),
            **values,
        )
    assert not Certificate.objects.exists() and not Job.objects.exists()


def test_import_of_another_dataset_is_refused() -> None:
    station = Station()
    batch = ImportBatch.objects.create(dataset=DatasetFactory())
    with pytest.raises(ValidationError, match="no such import"):
        start(dataset=station.dataset, user=station.reviewer("admin"), protocol=make_protocol(), batch=batch)


def test_freeze_publishes_the_commitment_and_keeps_the_seed_secret() -> None:
    world = CertifiedPool()
    certificate = world.freeze()
    assert certificate.state == State.AUDITING and certificate.candidates == 40
    event = Event.objects.get(kind="certificate.frozen")
    assert event.data["commitment"] == hashlib.sha256(SEED).hexdigest()
    protocol = protocol_of(certificate)
    images = [
        PoolImage(image.sha256, str(world.labels[0].pk), confidence, 0.0, rank)
        for rank, (image, confidence) in enumerate(
            zip(world.images, np.linspace(0.99, 0.6, 40).tolist(), strict=True), 1
        )
    ]
    assert event.data["pool_digest"] == certificate.pool_digest == pool_digest(protocol, (), images)
    events = list(Event.objects.values_list("data", flat=True))
    assert SEED.hex() not in str(events)
    # Another image in the region gives another digest.
    changed = world.pool(rank=[2, 1, *range(3, 41)])
    assert changed.digest(protocol) != certificate.pool_digest
    # A repeated job freezes nothing again.
    again = record_freeze(
        certificate=certificate, head=world.head, pool=world.pool(), seed=b"x" * 32, commitment="x"
    )
    assert again is None and CertificateImage.objects.count() == 40


def test_audits_are_drawn_in_the_audit_order_of_the_region() -> None:
    world = CertifiedPool()
    # Ranks descend while the audit order ascends: the region of 4 holds the last four images.
    world.freeze(rank=list(range(40, 0, -1)))
    drawn = draw_audits(certificate=world.certificate, count=3, within=4)
    assert [audit.image_id for audit in drawn] == [image.pk for image in world.images[36:39]]
    drawn = draw_audits(certificate=world.certificate, count=5, within=4)
    assert [audit.number for audit in drawn] == [4]
    assert draw_audits(certificate=world.certificate, count=5, within=4) == []
    leased = world.next(world.people[0], 4)
    assert [item.item.image_id for item in leased] == [image.pk for image in world.images[36:]]
    assert all(item.blind and "label" not in item.lease.shown for item in leased)
    assert hidden_ids(world.dataset, [world.images[36].pk, world.images[0].pk]) == {world.images[36].pk}


def test_audit_takes_the_image_out_of_another_stream() -> None:
    world = CertifiedPool()
    waiting = world.item(Stream.UNCERTAIN, image=world.images[0])
    [held] = world.next(world.people[0])
    world.freeze()
    [audit] = draw_audits(certificate=world.certificate, count=1, within=10)
    waiting.refresh_from_db()
    assert waiting.state == QueueItem.State.WITHDRAWN
    late = world.answer(world.people[0], held, "confirm")
    assert late.late and late.item_id == waiting.pk
    assert blind_labels([audit.item_id]) == {}  # an answer with the prediction on screen is no audit


def test_image_of_the_audit_sample_keeps_its_turn_after_the_audit_of_a_certificate() -> None:
    """Also if it waited for the audit sample before. Otherwise the audit sample is not random."""
    world = CertifiedPool()
    image = ImageFactory(dataset=world.dataset, audit_key=0.0)
    world.images = [image, *world.images]
    world.item(Stream.AUDIT, image=image)
    world.freeze()
    draw_audits(certificate=world.certificate, count=1, within=10)
    [leased] = world.next(world.people[0])
    assert leased.item.stream == Stream.CERTIFY and leased.item.image_id == image.pk
    world.answer(world.people[0], leased, "correct", label=world.labels[0])
    assert image.pk not in reviewed_image_ids(world.dataset)


def test_freeze_leaves_the_candidates_to_the_audit() -> None:
    """Otherwise the ordinary review would use up the limit of the protocol."""
    world = CertifiedPool()
    held, free, asked = (
        world.item(stream, image=image)
        for stream, image in zip((Stream.UNCERTAIN, Stream.DIVERSE, Stream.RECHECK), world.images)
    )
    world.next(world.people[0])
    rank = [0, *range(1, 40)]  # the first image is no candidate
    world.freeze(rank=rank)
    states = QueueItem.objects.order_by("pk").values_list("state", flat=True)
    assert list(states) == ["waiting", "withdrawn", "waiting"]
    assert [held.pk, free.pk, asked.pk] == list(QueueItem.objects.order_by("pk").values_list("pk", flat=True))
    candidates = {image.pk for image in world.images[1:]}
    assert candidates <= reviewed_image_ids(world.dataset)
    assert world.images[0].pk not in reviewed_image_ids(world.dataset)
    cancel(certificate=world.certificate, user=world.admin)
    assert not reviewed_image_ids(world.dataset) & candidates


def test_answer_of_an_audit_starts_the_check_and_does_not_train(
    django_capture_on_commit_callbacks: Any,
) -> None:
    world = CertifiedPool()
    world.freeze()
    [audit] = draw_audits(certificate=world.certificate, count=1, within=10)
    [leased] = world.next(world.people[0])
    for act in (
        lambda: world.answer(world.people[0], leased, "correct", label=world.labels[2]),
        lambda: world.undo(world.people[0]),
    ):
        Job.objects.all().delete()
        with django_capture_on_commit_callbacks(execute=True):
            act()
        assert Job.objects.get(kind=Kind.CERTIFY).payload == {"certificate": world.certificate.pk}
    [leased] = world.next(world.people[0])
    decision = world.answer(world.people[0], leased, "correct", label=world.labels[1])
    assert blind_labels([audit.item_id]) == {audit.item_id: world.labels[1].pk}
    label = ConfirmedLabel.objects.get(image=decision.image)
    assert label.stream == Stream.CERTIFY and not label.in_training


def test_answer_from_before_the_freeze_does_not_count() -> None:
    world = CertifiedPool()
    ConfirmedLabelFactory(dataset=world.dataset, image=world.images[0], label=world.labels[2])
    world.freeze()
    [audit] = draw_audits(certificate=world.certificate, count=1, within=10)
    assert blind_labels([audit.item_id]) == {}


def test_end_reveals_the_seed_and_withdraws_the_rest() -> None:
    world = CertifiedPool()
    world.freeze()
    audits = world.answer_audits().result.decided
    ended = end_audit(certificate=world.certificate, user=world.admin)
    assert ended.state == State.PASSED and ended.region == 40
    assert ended.audits == audits < 12 and ended.errors == 0
    assert Event.objects.get(kind="certificate.ended").data["seed"] == SEED.hex()
    assert not QueueItem.objects.filter(stream=Stream.CERTIFY, state=QueueItem.State.WAITING).exists()
    with pytest.raises(ValidationError, match="another state"):
        end_audit(certificate=world.certificate, user=world.admin)


def test_end_without_a_certified_region_fails() -> None:
    world = CertifiedPool()
    world.freeze()
    world.answer_audits(wrong=True)
    assert end_audit(certificate=world.certificate, user=world.admin).state == State.FAILED
    with pytest.raises(ValidationError):
        accept(certificate=world.certificate, user=world.admin)


def test_planned_audit_is_not_ended_by_hand() -> None:
    """Otherwise an admin could stop at the moment with the best figures."""
    world = CertifiedPool(test="planned")
    world.freeze()
    world.answer_audits(most=8)
    with pytest.raises(ValidationError, match="ends by itself"):
        end_audit(certificate=world.certificate, user=world.admin)
    world.answer_audits()
    assert world.end().state == State.PASSED and world.certificate.audits == 12


def test_machine_labels_are_valid_only_after_the_last_one() -> None:
    world = certified()
    accept(certificate=world.certificate, user=world.admin)
    left = world.left()
    some = set_machine_labels(certificate=world.certificate, first=1, last=20)
    assert 0 < some < len(left) and machine_labelled_ids(world.dataset) == set()
    # A worker that starts again adds only the labels that are missing.
    assert set_machine_labels(certificate=world.certificate, first=1, last=100) == len(left) - some
    mark_accepted(certificate=world.certificate, accepted=len(left))
    assert machine_labelled_ids(world.dataset) == left
    assert MachineLabel.objects.count() == len(left) == 40 - world.certificate.audits


def test_people_and_critical_labels_are_left_out() -> None:
    world = certified()
    accept(certificate=world.certificate, user=world.admin)
    first, second, *rest = (image for image in world.images if image.pk in world.left())
    ConfirmedLabelFactory(dataset=world.dataset, image=first, label=world.labels[2])
    set_machine_labels(certificate=world.certificate, first=1, last=100)
    mark_accepted(certificate=world.certificate, accepted=len(rest) + 1)
    # An answer that comes later wins too.
    ConfirmedLabelFactory(dataset=world.dataset, image=second, label=world.labels[2])
    assert machine_labelled_ids(world.dataset) == {image.pk for image in rest}
    update_label(label=world.labels[0], user=world.admin, critical=True)
    assert machine_labelled_ids(world.dataset) == set()


def test_another_head_suspends_and_refuses_new_labels() -> None:
    world = accepted()
    other = HeadFactory(dataset=world.dataset, version=99, encoder=world.head.encoder)
    promote(head=other, reason="")
    world.certificate.refresh_from_db()
    assert world.certificate.state == State.SUSPENDED
    assert world.certificate.stop_reason == StopReason.HEAD_REPLACED
    assert Event.objects.get(kind="certificate.suspended").data["reason"] == "head_replaced"
    assert machine_labelled_ids(world.dataset) == world.left()  # the frozen predictions were tested
    waiting = certified()
    promote(head=HeadFactory(dataset=waiting.dataset, version=99), reason="")
    with pytest.raises(ValidationError, match="Another head is in use"):
        accept(certificate=waiting.certificate, user=waiting.admin)


def test_archived_label_suspends() -> None:
    world = accepted()
    archive_label(label=world.labels[2], user=world.admin, confirmed=True)
    world.certificate.refresh_from_db()
    assert world.certificate.state == State.SUSPENDED
    assert world.certificate.stop_reason == StopReason.LABEL_ARCHIVED


def test_suspension_stops_the_labels_between_two_blocks() -> None:
    world = certified()
    accept(certificate=world.certificate, user=world.admin)
    set_machine_labels(certificate=world.certificate, first=1, last=20)
    promote(head=HeadFactory(dataset=world.dataset, version=99), reason="")
    assert set_machine_labels(certificate=world.certificate, first=21, last=40) == 0
    assert mark_accepted(certificate=world.certificate, accepted=40) is None


def test_too_many_labels_of_people_refuse_the_acceptance() -> None:
    """The statement is about the labels that the machine sets, so people may not take out the easy images."""
    world = certified()
    for image in [image for image in world.images if image.pk in world.left()][:10]:
        ConfirmedLabelFactory(dataset=world.dataset, image=image, label=world.labels[0])
    with pytest.raises(ValidationError, match="more images of this pool than the protocol allows"):
        accept(certificate=world.certificate, user=world.admin)


def states(world: CertifiedPool) -> list[int]:
    """Return the states of the images that reviewers had on the screen, in audit order."""
    return [one for one in read_audit_state(world.certificate).audits.state if one is not None]


def test_skipped_audit_is_an_error_until_it_is_answered() -> None:
    world = CertifiedPool(test="planned")
    world.freeze()
    draw_next(certificate=world.certificate, state=read_audit_state(world.certificate))
    assert states(world) == []  # a drawn image is no error before a reviewer opens it
    [leased] = world.next(world.people[1])
    assert states(world) == [OPEN]
    world.answer(world.people[1], leased, "skip")
    world.answer_audits(most=11)
    state = read_audit_state(world.certificate)
    assert states(world) == [OPEN] + [RIGHT] * 11 and not state.is_complete
    assert state.figures["unresolved"] == 1 and state.figures["region_errors"] == [1]
    world.answer_audits(most=1)
    state = read_audit_state(world.certificate)
    assert states(world) == [RIGHT] * 12 and state.is_complete


def test_released_audit_stays_an_error() -> None:
    """Otherwise a reviewer could leave the hard images out."""
    world = CertifiedPool()
    world.freeze()
    draw_audits(certificate=world.certificate, count=1, within=40)
    [leased] = world.next(world.people[1])
    services.release(dataset=world.dataset, user=world.people[1], lease_ids=[leased.lease.pk])
    assert states(world) == [OPEN]


def test_undone_answer_opens_the_audit_again() -> None:
    world = CertifiedPool()
    world.freeze()
    world.answer_audits(most=1)
    assert states(world)[0] == RIGHT
    world.undo(world.people[0])
    assert states(world)[0] == OPEN


def test_two_reviewers_must_agree() -> None:
    world = CertifiedPool(overlap=2)
    world.freeze()
    draw_audits(certificate=world.certificate, count=1, within=40)
    for person, label in zip(world.people, world.labels):
        [leased] = world.next(person)
        world.answer(person, leased, "correct", label=label)
        assert states(world) == [OPEN]


def test_skipped_audit_stays_with_people() -> None:
    world = CertifiedPool()
    world.freeze()
    draw_audits(certificate=world.certificate, count=1, within=40)
    [leased] = world.next(world.people[1])
    world.answer(world.people[1], leased, "skip")
    world.answer_audits()
    assert world.end().state == State.PASSED
    accept(certificate=world.certificate, user=world.admin)
    set_machine_labels(certificate=world.certificate, first=1, last=100)
    assert not MachineLabel.objects.filter(image=leased.item.image_id).exists()


def test_revoked_labels_are_not_valid() -> None:
    world = accepted()
    revoke(certificate=world.certificate, user=world.admin)
    assert machine_labelled_ids(world.dataset) == set()
    assert MachineLabel.objects.count() == len(world.left())  # the rows stay as evidence
    with pytest.raises(ValidationError):
        revoke(certificate=world.certificate, user=world.admin)


def test_cancelled_attempt_stays_on_record() -> None:
    world = CertifiedPool()
    world.freeze()
    draw_audits(certificate=world.certificate, count=2, within=10)
    cancel(certificate=world.certificate, user=world.admin)
    assert Event.objects.get(kind="certificate.cancelled").data["seed"] == SEED.hex()
    assert CertificateAudit.objects.count() == 2
    again = start(dataset=world.dataset, user=world.admin, protocol=make_protocol())
    assert again.version == 2
    assert draw_audits(certificate=world.certificate, count=2, within=10) == []


@pytest.mark.parametrize("role", ["reviewer", "viewer"])
def test_only_admins_act(role: str) -> None:
    world = certified()
    other = world.reviewer(role)
    acts: list[Any] = [
        lambda: start(dataset=world.dataset, user=other, protocol=make_protocol()),
        lambda: cancel(certificate=world.certificate, user=other),
        lambda: end_audit(certificate=world.certificate, user=other),
        lambda: accept(certificate=world.certificate, user=other),
        lambda: revoke(certificate=world.certificate, user=other),
    ]
    for act in acts:
        with pytest.raises(PermissionDenied):
            act()


def test_client_key_of_an_audit_is_recorded_once() -> None:
    world = CertifiedPool()
    world.freeze()
    draw_audits(certificate=world.certificate, count=1, within=10)
    [leased] = world.next(world.people[0])
    key = uuid.uuid4()
    first = world.answer(world.people[0], leased, "correct", label=world.labels[0], client_key=key)
    second = world.answer(world.people[0], leased, "correct", label=world.labels[0], client_key=key)
    assert first.pk == second.pk and second.duplicate
