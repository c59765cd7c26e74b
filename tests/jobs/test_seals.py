"""When seals are requested: never without new rows, and never in a loop after a failure."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.db.models import F

from mekiki.audit.models import SealCheck
from mekiki.audit.private_key import SigningKeyError, key_file, make_first_key
from mekiki.audit.sealing import seal_new_rows
from mekiki.audit.services import record
from mekiki.config import clock
from mekiki.jobs.models import Job, Kind, State
from mekiki.jobs.seals import enqueue_scheduled_check, enqueue_scheduled_seal, request_check, request_seal
from tests import factories
from workers.runner import explain, explain_to_all, run_job, stage_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def home(settings: Any, tmp_path: Any) -> None:
    settings.HOME = tmp_path


def test_seal_is_queued_only_with_a_key_and_new_rows() -> None:
    record(kind="test.happened")
    assert enqueue_scheduled_seal() is None and enqueue_scheduled_check() is None
    make_first_key()
    job = enqueue_scheduled_seal()
    assert job is not None and enqueue_scheduled_seal() == job  # the job waits already
    assert run_job(str(job.pk)) == "succeeded"
    job.refresh_from_db()
    assert job.result["rows"] == 3 and job.result["waiting"] == []
    assert enqueue_scheduled_seal() is None  # the events of the job itself request no seal
    check = enqueue_scheduled_check()
    assert check is not None and run_job(str(check.pk)) == "succeeded"
    assert (
        SealCheck.objects.get().ok and enqueue_scheduled_check() is None and enqueue_scheduled_seal() is None
    )
    SealCheck.objects.update(at=F("at") - timedelta(days=2))
    assert enqueue_scheduled_check() is not None


def test_missing_key_is_explained_and_sealing_is_tried_once_an_hour() -> None:
    make_first_key()
    key_file().unlink()
    job = enqueue_scheduled_seal()
    assert job is not None
    with pytest.raises(SigningKeyError) as raised:
        stage_of(job.kind)(job, lambda **_report: None)  # type: ignore[arg-type]
    sentence, retry = explain(raised.value)
    assert "mekiki key rotate --lost" in sentence and not retry
    assert set(explain_to_all(raised.value)) == {"en", "ja"}
    Job.objects.update(state=State.FAILED, finished_at=clock.now())
    assert enqueue_scheduled_seal() is None
    Job.objects.update(finished_at=clock.now() - timedelta(hours=2))
    assert enqueue_scheduled_seal() is not None


def test_failed_check_is_not_requested_again_at_once() -> None:
    make_first_key()
    seal_new_rows()
    check = enqueue_scheduled_check()
    assert check is not None
    Job.objects.filter(pk=check.pk).update(state=State.FAILED, finished_at=clock.now())
    assert enqueue_scheduled_check() is None
    request_check(user=factories.UserFactory(is_superuser=True))  # an admin need not wait
    Job.objects.filter(state=State.QUEUED).delete()
    Job.objects.update(finished_at=clock.now() - timedelta(hours=2))
    assert enqueue_scheduled_check() is not None


def test_only_platform_admins_request_seals_and_checks() -> None:
    for request in (request_seal, request_check):
        with pytest.raises(PermissionDenied):
            request(user=factories.UserFactory())
        request(user=factories.UserFactory(is_superuser=True))
    assert set(Job.objects.filter(state=State.QUEUED).values_list("kind", flat=True)) == {
        Kind.SEAL,
        Kind.CHECK_SEALS,
    }


def test_latest_seal_job_does_not_depend_on_the_clock() -> None:
    make_first_key()
    early = Job.objects.create(kind=Kind.SEAL, key="seal", state=State.SUCCEEDED, finished_at=clock.now())
    Job.objects.filter(pk=early.pk).update(created_at=clock.now() + timedelta(days=400))
    Job.objects.create(kind=Kind.SEAL, key="seal", state=State.FAILED, finished_at=clock.now())
    assert enqueue_scheduled_seal() is None  # the job failed a moment ago


def test_the_number_of_a_job_counts_up() -> None:
    first, second = (Job.objects.create(kind=Kind.SEAL, key=key) for key in ("a", "b"))
    assert 0 < first.number < second.number
