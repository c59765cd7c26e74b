"""What stops a certificate, and which labels set by machine are valid then."""

import threading
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import DatabaseError, connection, transaction

from mekiki.audit.models import Event
from mekiki.labeling.services import add_label, archive_label, restore_label, save_prompts, update_label
from mekiki.learning.services import promote
from mekiki.quality.certificates import LabelCounts, label_counts, machine_labelled_ids
from mekiki.quality.models import Certificate, MachineLabel
from mekiki.quality.services.certificates import (
    accept,
    mark_accepted,
    request_work,
    revoke,
    set_machine_labels,
    start,
)
from mekiki.quality.stop_reasons import StopReason
from mekiki.review.models import QueueItem, Stream
from mekiki.review.services import set_aside
from tests.factories import EncoderFactory, HeadFactory
from tests.quality.test_certificate_pages import page_of
from tests.quality_setup import CertifiedPool, accepted, certified, make_protocol
from tests.review.test_review_concurrency import run_concurrently
from tests.waiting import is_blocked_by, until

State = Certificate.State
pytestmark = pytest.mark.django_db


def accepting(**protocol: Any) -> CertifiedPool:
    """Return a pool of which 20 of 40 ranks have their labels set so far."""
    world = certified(**protocol)
    world.certificate = accept(certificate=world.certificate, user=world.admin)
    assert set_machine_labels(certificate=world.certificate, first=1, last=20)
    return world


def replace_head(world: CertifiedPool, **values: Any) -> None:
    values = {"encoder": world.head.encoder, **values}
    promote(head=HeadFactory(dataset=world.dataset, version=99, **values), reason="")


def archive(world: CertifiedPool) -> None:
    archive_label(label=world.labels[2], user=world.admin, confirmed=True)


def mark_critical(world: CertifiedPool) -> None:
    update_label(label=world.labels[2], user=world.admin, critical=True)


def add(world: CertifiedPool) -> None:
    add_label(dataset=world.dataset, user=world.admin, name="scratch")


def change_prompts(world: CertifiedPool) -> None:
    texts = {label.pk: [f"a photo of {label.pk}"] for label in world.labels}
    save_prompts(dataset=world.dataset, prompts=texts, user=world.admin)


def replace_encoder(world: CertifiedPool) -> None:
    replace_head(world, encoder=EncoderFactory())


SCHEMA = [
    (archive, StopReason.LABEL_ARCHIVED),
    (mark_critical, StopReason.LABEL_CRITICAL),
    (add, StopReason.LABEL_ADDED),
]
CAUSES = [
    (replace_head, StopReason.HEAD_REPLACED),
    (replace_encoder, StopReason.ENCODER_CHANGED),
    (change_prompts, StopReason.PROMPTS_CHANGED),
    *SCHEMA,
]


def stopped(world: CertifiedPool) -> tuple[str, str]:
    world.certificate.refresh_from_db()
    return world.certificate.state, world.certificate.stop_reason


@pytest.mark.parametrize(("change", "reason"), CAUSES)
def test_change_suspends_an_accepted_certificate(change: Any, reason: str) -> None:
    world = accepted()
    change(world)
    assert stopped(world) == (State.SUSPENDED, reason)
    [event] = Event.objects.filter(kind="certificate.suspended")
    assert event.data["reason"] == reason
    # The frozen predictions were tested, so all labels stay valid.
    assert machine_labelled_ids(world.dataset) == world.left()


@pytest.mark.parametrize(("change", "reason"), CAUSES)
def test_change_while_labels_are_set_leaves_no_part_of_them(change: Any, reason: str) -> None:
    """The statement is about all labels of the region. A part of them could have a larger share of errors."""
    world = accepting()
    change(world)
    assert stopped(world) == (State.SUSPENDED, reason)
    assert set_machine_labels(certificate=world.certificate, first=21, last=40) == 0
    assert mark_accepted(certificate=world.certificate, accepted=40) is None
    assert MachineLabel.objects.exists() and machine_labelled_ids(world.dataset) == set()


@pytest.mark.parametrize(("change", "reason"), SCHEMA)
def test_change_of_the_labels_ends_a_running_audit(change: Any, reason: str) -> None:
    """Answers before and after the change have different labels to choose from."""
    world = CertifiedPool()
    world.freeze()
    world.answer_audits(most=2)
    change(world)
    assert stopped(world) == (State.CANCELLED, reason)
    assert not QueueItem.objects.filter(stream=Stream.CERTIFY, state=QueueItem.State.WAITING).exists()
    assert Event.objects.get(kind="certificate.cancelled").data["reason"] == reason


@pytest.mark.parametrize(("change", "reason"), SCHEMA)
def test_change_of_the_labels_before_the_acceptance_suspends(change: Any, reason: str) -> None:
    world = certified()
    change(world)
    assert stopped(world) == (State.SUSPENDED, reason)
    with pytest.raises(ValidationError, match="another state"):
        accept(certificate=world.certificate, user=world.admin)
    assert machine_labelled_ids(world.dataset) == set()


def test_restored_label_suspends() -> None:
    world = CertifiedPool(started=False)
    archive(world)
    world.certificate = start(dataset=world.dataset, user=world.admin, protocol=make_protocol())
    world.freeze()
    world.answer_audits()
    world.end()
    world.labels[2].refresh_from_db()
    restore_label(label=world.labels[2], user=world.admin)
    assert stopped(world) == (State.SUSPENDED, StopReason.LABEL_ARCHIVED)


def test_prompts_and_heads_do_not_end_an_audit() -> None:
    """The audit tests frozen predictions. Retraining goes on while reviewers answer."""
    world = CertifiedPool()
    world.freeze()
    change_prompts(world)
    replace_head(world)
    assert stopped(world) == (State.AUDITING, "")


def test_rollback_suspends_the_certificate_of_the_newer_head() -> None:
    world = accepted()
    earlier = HeadFactory(dataset=world.dataset, version=98, encoder=world.head.encoder)
    promote(head=earlier, reason={"code": "by_hand", "user": "admin", "prompts": 1}, user=world.admin)
    assert stopped(world) == (State.SUSPENDED, StopReason.HEAD_REPLACED)
    # The certificate does not start again by itself when its head comes back.
    promote(head=world.head, reason="")
    assert stopped(world) == (State.SUSPENDED, StopReason.HEAD_REPLACED)


def test_labels_of_the_earlier_certificate_stay_while_new_ones_are_set() -> None:
    """A newer certificate that is stopped half-way takes nothing away."""
    world = accepted()
    first, valid = world.certificate, machine_labelled_ids(world.dataset)
    world.certificate = start(dataset=world.dataset, user=world.admin, protocol=make_protocol())
    world.images = [image for image in world.images if image.pk in valid]
    world.freeze()
    world.answer_audits()
    world.end()
    accept(certificate=world.certificate, user=world.admin)
    set_machine_labels(certificate=world.certificate, first=1, last=10)
    left = valid - labelled_by_people(world)
    assert machine_labelled_ids(world.dataset) == left
    replace_head(world)
    first.refresh_from_db()
    assert first.state == State.SUSPENDED and machine_labelled_ids(world.dataset) == left


def labelled_by_people(world: CertifiedPool) -> set[int]:
    return {image.pk for image in world.images} - world.left()


@pytest.mark.parametrize("statement", ["insert", "update"])
def test_database_refuses_a_critical_label_of_a_machine(statement: str) -> None:
    world = accepted()
    critical = world.labels[1]
    type(critical).objects.filter(pk=critical.pk).update(critical=True)
    people = min({image.pk for image in world.images} - world.left())
    insert = (
        "INSERT INTO quality_machinelabel (certificate_id, image_id, dataset_id, label_id, confidence, "
        "stream_number) SELECT certificate_id, %s, dataset_id, %s, confidence, 0 "
        "FROM quality_machinelabel LIMIT 1"
    )
    update = "UPDATE quality_machinelabel SET label_id = %s"
    with pytest.raises(DatabaseError, match="critical"), transaction.atomic(), connection.cursor() as cursor:
        if statement == "insert":
            cursor.execute(insert, [people, critical.pk])
        else:
            cursor.execute(update, [critical.pk])
    assert not MachineLabel.objects.filter(label=critical).exists()


def own_pid() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def in_thread(act: Any) -> tuple[threading.Thread, list[Exception]]:
    """Run a function on a connection of its own. The list holds the error that it raised."""
    errors: list[Exception] = []

    def run() -> None:
        try:
            act()
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread, errors


@pytest.mark.django_db(transaction=True)
def test_promotion_during_a_block_of_labels_waits_and_then_suspends() -> None:
    world = accepting()
    with transaction.atomic():
        assert set_machine_labels(certificate=world.certificate, first=21, last=40)
        thread, errors = in_thread(lambda: replace_head(world))
        pid = own_pid()
        until(lambda: is_blocked_by(pid), "the promotion waits for the block")
    thread.join(timeout=30)
    assert not errors
    assert stopped(world) == (State.SUSPENDED, StopReason.HEAD_REPLACED)
    assert mark_accepted(certificate=world.certificate, accepted=40) is None
    assert machine_labelled_ids(world.dataset) == set()


@pytest.mark.django_db(transaction=True)
def test_acceptance_during_a_promotion_is_refused() -> None:
    """Otherwise labels of a head would be set that is not in use any more."""
    world = certified()
    with transaction.atomic():
        replace_head(world)
        thread, errors = in_thread(lambda: accept(certificate=world.certificate, user=world.admin))
        pid = own_pid()
        until(lambda: is_blocked_by(pid) or not thread.is_alive(), "the acceptance waits or has ended")
    thread.join(timeout=30)
    assert len(errors) == 1 and "Another head is in use" in str(errors[0])
    assert stopped(world)[0] == State.PASSED


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_set_each_label_once() -> None:
    """A worker that lost its job may still write while another worker has taken it."""
    world = certified()
    accept(certificate=world.certificate, user=world.admin)

    def work() -> None:
        for first in range(1, 41, 10):
            set_machine_labels(certificate=world.certificate, first=first, last=first + 9)
        mark_accepted(
            certificate=world.certificate,
            accepted=MachineLabel.objects.filter(certificate=world.certificate).count(),
        )

    results = run_concurrently(work, work)
    assert results == [None, None]
    assert stopped(world)[0] == State.ACCEPTED
    assert world.certificate.accepted == MachineLabel.objects.count() == len(world.left())
    assert Event.objects.filter(kind="certificate.labels_set").count() == 1


def test_answer_of_a_person_replaces_the_label_until_it_is_undone() -> None:
    world = accepted()
    left = world.left()
    image = next(image for image in world.images if image.pk in left)
    world.item(Stream.RECHECK, image=image)
    [leased] = world.next(world.people[0])
    world.answer(world.people[0], leased, "correct", label=world.labels[1])
    assert machine_labelled_ids(world.dataset) == left - {image.pk}
    counts = label_counts(world.certificate)
    assert counts == LabelCounts(len(left), len(left) - 1, by_people=1, withdrawn=0, in_doubt=0)
    world.undo(world.people[0])
    assert machine_labelled_ids(world.dataset) == left


def test_flag_is_no_label() -> None:
    """The statement is about all labels of the region, so a flag takes no image out of it."""
    world = accepted()
    left = world.left()
    image = next(image for image in world.images if image.pk in left)
    world.item(Stream.RECHECK, image=image)
    [leased] = world.next(world.people[0])
    flag = world.answer(world.people[0], leased, "flag")
    set_aside(dataset=world.dataset, user=world.admin, decision_id=flag.pk)
    assert machine_labelled_ids(world.dataset) == left


def test_archived_label_is_counted_and_not_valid() -> None:
    world = accepted()
    n = len(world.left())
    archive_label(label=world.labels[0], user=world.admin, confirmed=True)
    world.certificate.refresh_from_db()
    assert label_counts(world.certificate) == LabelCounts(n, 0, by_people=0, withdrawn=n, in_doubt=0)
    text = page_of(world, world.admin, "certificates/1/")
    assert "Label archived or critical now" in text and "Valid now" in text
    revoke(certificate=world.certificate, user=world.admin)
    world.certificate.refresh_from_db()
    assert label_counts(world.certificate) == LabelCounts(n, 0, by_people=0, withdrawn=n, in_doubt=0)
    assert "none of its labels is valid" in page_of(world, world.admin, "certificates/1/")


def test_suspended_certificate_without_all_labels_says_so() -> None:
    world = accepting()
    replace_head(world)
    text = page_of(world, world.admin, "certificates/1/")
    assert "another head was promoted" in text and "none of them is valid" in text


@pytest.mark.django_db(transaction=True)
def test_reviewers_do_not_wait_for_the_job_of_a_certificate() -> None:
    """An answer requests the job. It must not wait while the job holds the lock of the certificate."""
    world = CertifiedPool()
    world.freeze()
    with transaction.atomic():
        Certificate.objects.select_for_update().get(pk=world.certificate.pk)
        thread, errors = in_thread(lambda: request_work(certificate=world.certificate))
        pid = own_pid()
        until(lambda: is_blocked_by(pid) or not thread.is_alive(), "the request waits or has ended")
        assert not is_blocked_by(pid)
    thread.join(timeout=30)
    assert not errors
