"""A certificate whose job failed, was cancelled or is missing shows this and has a way on."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command

from mekiki.audit.models import Event
from mekiki.config import clock
from mekiki.jobs.models import ACTIVE_STATES, Job, Kind, State
from mekiki.jobs.services import cancel as cancel_job
from mekiki.jobs.services import claim, fail, succeed
from mekiki.quality.certificate_work import stopped_work
from mekiki.quality.models import Certificate, CertificateAudit
from mekiki.quality.services.certificates import accept, continue_work, draw_audits, draw_next, start
from mekiki.review.models import Lease, QueueItem
from mekiki.review.services.ending_leases import ENDED_LEASES_KEPT, release, release_expired_leases
from tests.quality.test_certificate_pages import browser, page_of
from tests.quality_setup import CertifiedPool, certified, make_protocol
from verification.certificates.decision import OPEN

pytestmark = pytest.mark.django_db


def freezing() -> CertifiedPool:
    return CertifiedPool()


def auditing() -> CertifiedPool:
    world = CertifiedPool()
    world.freeze()
    world.answer_audits(most=2)
    return world


def accepting() -> CertifiedPool:
    world = certified()
    Job.objects.all().delete()
    world.certificate = accept(certificate=world.certificate, user=world.admin)
    return world


def job() -> Job:
    return Job.objects.get(kind=Kind.CERTIFY, state__in=ACTIVE_STATES)


def fail_job(world: CertifiedPool) -> None:
    claimed = claim(str(job().pk))
    assert claimed is not None
    fail(claimed, "The disk is full.")


def stop_job(world: CertifiedPool) -> None:
    cancel_job(job=job(), user=world.admin)


def lose_job(world: CertifiedPool) -> None:
    job().delete()


STATES = [
    (freezing, "Nothing was frozen"),
    (auditing, "answers are stored"),
    (accepting, "none of them is valid"),
]
# What a page says while the job runs, and not after it stopped.
RUNNING_WORDS = ("are being frozen", "The labels are being set")
ENDS = [(fail_job, "The disk is full."), (stop_job, "was cancelled"), (lose_job, "No job continues")]


@pytest.mark.parametrize(("begin", "kept"), STATES)
@pytest.mark.parametrize(("end", "reason"), ENDS)
def test_page_says_why_it_stopped_and_what_was_kept(begin: Any, kept: str, end: Any, reason: str) -> None:
    world = begin()
    assert stopped_work(world.certificate) is None
    end(world)
    for user, may_act in ((world.admin, True), (world.people[0], False)):
        text = page_of(world, user, "certificates/1/")
        assert reason in text and kept in text
        assert not any(words in text for words in RUNNING_WORDS)
        assert ('value="continue"' in text) is may_act
    state = world.certificate.state
    answer = browser(world.admin).post(
        f"/d/{world.dataset.slug}/quality/certificates/1/act/", {"act": "continue"}
    )
    assert answer.status_code == 302 and job().payload == {"certificate": world.certificate.pk}
    world.certificate.refresh_from_db()
    assert world.certificate.state == state and stopped_work(world.certificate) is None
    assert Event.objects.filter(kind="certificate.continued").count() == 1
    assert reason not in page_of(world, world.admin, "certificates/1/")


def test_list_command_and_api_say_why_the_freeze_stopped(capsys: pytest.CaptureFixture[str]) -> None:
    world = freezing()
    assert "are being frozen" in page_of(world, world.admin, "")
    fail_job(world)
    text = page_of(world, world.admin, "")
    assert "The disk is full." in text and "are being frozen" not in text
    call_command("certify", world.dataset.slug, "--state")
    assert "The disk is full. Nothing was frozen" in capsys.readouterr().out
    body = browser(world.admin).get(f"/api/v1/datasets/{world.dataset.slug}/certificates/1").json()
    assert "The disk is full." in body["stopped"]


@pytest.mark.parametrize(("begin", "kept"), STATES)
def test_other_way_on_is_to_give_up(begin: Any, kept: str) -> None:
    """After that a new certificate can start."""
    world = begin()
    fail_job(world)
    act = "revoke" if begin is accepting else "cancel"
    text = page_of(world, world.admin, "certificates/1/")
    assert f'value="{act}"' in text
    browser(world.admin).post(f"/d/{world.dataset.slug}/quality/certificates/1/act/", {"act": act})
    again = start(dataset=world.dataset, user=world.admin, protocol=make_protocol())
    assert again.version == 2
    assert stopped_work(Certificate.objects.get(version=1)) is None


def test_work_that_runs_is_not_continued() -> None:
    world = freezing()
    with pytest.raises(ValidationError, match="runs already"):
        continue_work(certificate=world.certificate, user=world.admin)
    ended = certified()
    with pytest.raises(ValidationError, match="another state"):
        continue_work(certificate=ended.certificate, user=ended.admin)


def test_ended_job_of_a_running_audit_is_no_problem() -> None:
    """The job of an audit ends after each answer; the next answer starts it again."""
    world = auditing()
    claimed = claim(str(job().pk))
    assert claimed is not None
    succeed(claimed)
    assert stopped_work(world.certificate) is None


def test_job_that_was_requested_again_is_found() -> None:
    """A job that ends while the same work was requested starts a new job under the same key."""
    world = freezing()
    claimed = claim(str(job().pk))
    assert claimed is not None
    Job.objects.filter(pk=claimed.pk).update(rerun_requested=True)
    fail(claimed, "The disk is full.")
    assert job().state == State.QUEUED
    assert stopped_work(world.certificate) is None
    assert "The disk is full." not in page_of(world, world.admin, "certificates/1/")


def test_opened_audit_counts_as_opened_after_its_lease_is_old() -> None:
    world = CertifiedPool()
    world.freeze()
    draw_next(certificate=world.certificate, state=world.state)
    [leased] = world.next(world.people[0])
    release(dataset=world.dataset, user=world.people[0], lease_ids=[leased.lease.pk])
    before = world.state
    Lease.objects.filter(pk=leased.lease.pk).update(
        ended_at=clock.now() - ENDED_LEASES_KEPT - timedelta(days=1)
    )
    release_expired_leases()
    assert before.audits.state.count(OPEN) == 1
    assert world.state == before


def test_audits_stay_before_other_images_however_many_are_drawn() -> None:
    world = CertifiedPool(size=90, limit=90)
    other = world.item()
    world.freeze()
    for _ in range(80):
        draw_audits(certificate=world.certificate, count=1, within=90)
    waiting = QueueItem.objects.filter(dataset=world.dataset, state="waiting").order_by("position", "pk")
    drawn = CertificateAudit.objects.filter(certificate=world.certificate).order_by("number")
    assert [item.pk for item in waiting] == [*drawn.values_list("item", flat=True), other.pk]
