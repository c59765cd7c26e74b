"""The runner: outcomes, heartbeats, cancellation, fencing."""

import threading
import time
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import DatabaseError, OperationalError

from mekiki.jobs.models import Job, Kind, State
from mekiki.jobs.services import cancel, claim, enqueue, record_heartbeat
from tests.factories import DatasetFactory, UserFactory
from tests.waiting import until
from workers import runner
from workers.errors import StageError
from workers.runner import Report, run_job

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def job() -> Job:
    return enqueue(kind=Kind.REFILL, dataset=DatasetFactory())


def test_a_job_is_done_once(job: Job) -> None:
    attempts: list[int] = []

    def stage(claimed_job: Job, report: Report) -> dict[str, Any]:
        report(stage="predicting", total=10, unit="images")
        for n in range(11):
            report(done=n)
        attempts.append(claimed_job.attempt)
        return {"n": 10}

    assert run_job(str(job.pk), stage) == "succeeded"
    assert run_job(str(job.pk), stage) == "", "a message that arrives twice has no effect"
    job.refresh_from_db()
    assert attempts == [1]
    assert (job.state, job.result, job.stage) == (State.SUCCEEDED, {"n": 10}, "predicting")
    assert (job.done, job.total, job.unit) == (10, 10, "images")
    assert job.rate > 0


def test_progress_is_written_at_most_twice_a_second(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    now, written = [0.0], []
    claimed = claim(str(job.pk))
    assert claimed is not None
    monkeypatch.setattr(runner, "record_heartbeat", lambda job, **fields: written.append((now[0], fields)))
    report = Report(claimed, clock=lambda: now[0])
    report(stage="computing embeddings", done=0, total=1000, unit="images")
    for step in range(1, 1001):
        now[0] = step / 100
        report(done=step)
    assert len(written) <= 21
    at, last = written[-1]
    assert last["rate"] == pytest.approx(100, rel=0.01) and at <= 10


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (StageError("Write labels first."), "Write labels first."),
        (ValidationError("Too long."), "Too long."),
        (KeyError("surprise"), "KeyError"),
        (MemoryError(), "out of memory"),
    ],
)
def test_error_of_a_stage_is_stored_as_a_sentence(job: Job, error: Exception, message: str) -> None:
    def stage(claimed_job: Job, report: Report) -> None:
        raise error

    assert run_job(str(job.pk), stage) == "failed"
    job.refresh_from_db()
    assert job.state == State.FAILED and message in job.error


def test_an_encoder_that_does_not_load_fails_with_its_sentence() -> None:
    from mekiki.labeling.services import set_schema

    user = UserFactory()
    dataset = DatasetFactory(admin=user, encoder_name="local-dir:/there/is/no/such/folder")
    set_schema(dataset=dataset, labels=[{"name": "good", "prompts": ["good"]}], user=user)
    job = Job.objects.get(kind=Kind.PREDICT)
    assert run_job(str(job.pk)) == "failed"
    job.refresh_from_db()
    assert "/there/is/no/such/folder" in job.error and "does not exist" in job.error


def test_stage_runs_in_the_language_of_the_requester() -> None:
    from django.utils import translation

    languages: list[str | None] = []
    user = UserFactory(language="ja")
    job = enqueue(kind=Kind.REFILL, dataset=DatasetFactory(), user=user)
    run_job(str(job.pk), lambda claimed_job, report: languages.append(translation.get_language()))
    assert languages == ["ja"] and translation.get_language() == "en"


def test_job_without_database_is_retried_until_its_attempts_are_used(job: Job) -> None:
    def stage(claimed_job: Job, report: Report) -> None:
        raise OperationalError("server closed the connection unexpectedly")

    outcomes = [run_job(str(job.pk), stage) for _ in range(job.max_attempts)]
    assert outcomes == ["retried"] * (job.max_attempts - 1) + ["failed"]
    job.refresh_from_db()
    assert job.state == State.FAILED and "database" in job.error


def test_a_cancelled_job_stops_at_its_next_report(job: Job) -> None:
    def stage(claimed_job: Job, report: Report) -> None:
        report(stage="predicting", total=100)
        cancel(job=claimed_job, user=None)
        for n in range(100):
            time.sleep(0.02)
            report(done=n)
        raise AssertionError("the stage continued")

    assert run_job(str(job.pk), stage) == "cancelled"
    job.refresh_from_db()
    assert job.state == State.CANCELLED


def beats_of(job: Job) -> int:
    return Job.objects.get(pk=job.pk).beats


def test_heartbeat_continues_during_a_long_call_and_notices_a_lost_claim(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "HEARTBEAT_INTERVAL", 0.05)
    beats: list[int] = [job.beats]

    def stage(claimed_job: Job, report: Report) -> None:
        for _ in range(3):  # torch is computing
            until(lambda: beats_of(claimed_job) not in beats, "the next heartbeat is recorded")
            beats.append(beats_of(claimed_job))
        Job.objects.filter(pk=claimed_job.pk).update(attempt=2)  # another worker has claimed it
        until(lambda: report(done=1), "the stage is stopped")

    before = threading.active_count()
    assert run_job(str(job.pk), stage) == "lost"
    assert threading.active_count() == before, "the heartbeat ended"
    job.refresh_from_db()
    assert (job.state, job.attempt) == (State.RUNNING, 2), "the other worker's job is untouched"


def test_heartbeat_continues_after_an_unexpected_error(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "HEARTBEAT_INTERVAL", 0.05)
    calls: list[float] = []

    def failing_once(claimed_job: Job, **fields: Any) -> None:
        calls.append(time.monotonic())
        if len(calls) == 1:
            raise DatabaseError("cached plan must not change result type")
        record_heartbeat(claimed_job, **fields)

    monkeypatch.setattr(runner, "record_heartbeat", failing_once)

    def stage(claimed_job: Job, report: Report) -> None:
        until(lambda: beats_of(claimed_job) >= claimed_job.beats + 3, "three heartbeats are recorded")

    assert run_job(str(job.pk), stage) == "succeeded"
    assert len(calls) >= 4


def test_every_kind_of_job_has_a_task_and_a_stage() -> None:
    from mekiki.config.celery import app
    from workers import tasks

    for kind in Kind.values:
        task = app.tasks[f"workers.tasks.{kind}"]
        assert task.run is tasks.run and callable(runner.stage_of(kind))


def test_every_stage_and_unit_is_registered_for_translation() -> None:
    import re
    from pathlib import Path

    import workers
    from mekiki.jobs.messages import STAGES, UNITS

    root = Path(workers.__file__).parent
    sources = "".join(path.read_text() for path in root.rglob("*.py") if "pocket" not in path.parts)
    assert set(re.findall(r'\bstage(?:: str = |=)"([^"]+)"', sources)) == set(STAGES)
    assert set(re.findall(r'\bunit="([^"]+)"', sources)) == set(UNITS)
