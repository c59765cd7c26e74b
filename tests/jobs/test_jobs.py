"""Durable jobs: requested once, claimed by one worker, given back, fenced, cancelled, run again."""

import threading

import pytest
from django.db import IntegrityError, connection

from mekiki.audit.models import Event
from mekiki.datasets.models import Dataset
from mekiki.jobs import services
from mekiki.jobs.models import Job, Kind, State
from mekiki.jobs.services import CancelledError, LostClaimError
from mekiki.jobs.sweeping import RESEND_AFTER, SEND_AFTER, SILENT_AFTER
from tests.jobs.watch import Watch

pytestmark = pytest.mark.django_db


@pytest.fixture
def dataset(db: None) -> Dataset:
    return Dataset.objects.create(slug="jobs", name="Jobs")


def enqueue_encoding(dataset: Dataset, **payload: object) -> Job:
    return services.enqueue(kind=Kind.ENCODE, dataset=dataset, payload=payload)


def claim(job: Job) -> Job:
    claimed_job = services.claim(str(job.pk))
    assert claimed_job is not None
    return claimed_job


def test_two_requests_create_one_job(dataset: Dataset) -> None:
    first = enqueue_encoding(dataset)
    assert enqueue_encoding(dataset).pk == first.pk
    other = services.enqueue(kind=Kind.PREDICT, dataset=dataset)
    assert other.pk != first.pk
    assert Event.objects.filter(kind="job.queued").count() == 2
    assert not Job.objects.get(pk=first.pk).rerun_requested


@pytest.mark.django_db(transaction=True)
def test_request_for_a_missing_dataset_is_refused_with_the_reason() -> None:
    with pytest.raises(IntegrityError, match="dataset"):
        enqueue_encoding(Dataset(pk=10**9))
    assert not Job.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_concurrent_requests_create_one_job(dataset: Dataset) -> None:
    start = threading.Barrier(6)
    job_ids: list[object] = []

    def work() -> None:
        try:
            start.wait()
            job_ids.append(enqueue_encoding(dataset).pk)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(job_ids) == 6 and len(set(job_ids)) == 1
    assert Job.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_concurrent_claims_give_the_job_to_one_worker(dataset: Dataset) -> None:
    job = enqueue_encoding(dataset)
    start = threading.Barrier(6)
    claims: list[Job | None] = []

    def work() -> None:
        try:
            start.wait()
            claims.append(services.claim(str(job.pk)))
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(claims) == 6 and sum(g is not None for g in claims) == 1
    assert Job.objects.get().attempt == 1


def test_worker_that_lost_its_claim_writes_nothing(dataset: Dataset) -> None:
    late = claim(enqueue_encoding(dataset))
    assert Watch().after(SILENT_AFTER)["given_back"] == 1
    current = claim(late)
    assert (late.attempt, current.attempt) == (1, 2)
    for write in (
        lambda: services.record_heartbeat(late, done=99),
        lambda: services.succeed(late, {"from": "late"}),
        lambda: services.fail(late, "late"),
        lambda: services.fail(late, "late", retry=True),
        lambda: services.finish_cancelled(late),
    ):
        with pytest.raises(LostClaimError):
            write()
    row = Job.objects.get()
    assert (row.state, row.done, row.result, row.error) == (State.RUNNING, 0, {}, "")
    services.record_heartbeat(current, done=5, total=10, stage="x")
    services.succeed(current, {"from": "current"})
    row.refresh_from_db()
    assert (row.state, row.done, row.result) == (State.SUCCEEDED, 5, {"from": "current"})
    with pytest.raises(LostClaimError):
        services.record_heartbeat(current)


def test_sweep_keeps_jobs_of_live_workers(dataset: Dataset) -> None:
    job = claim(enqueue_encoding(dataset))
    watch = Watch()
    for _ in range(10):
        assert watch.after(SILENT_AFTER - 5) == {"given_back": 0, "failed": 0, "resent": 0}
        services.record_heartbeat(job)
    assert Job.objects.get().state == State.RUNNING


def test_job_fails_after_its_workers_died_repeatedly(dataset: Dataset) -> None:
    job = enqueue_encoding(dataset)
    for attempt in range(1, job.max_attempts + 1):
        claimed_job = claim(job)
        assert claimed_job.attempt == attempt
        outcome = Watch().after(SILENT_AFTER)
    assert outcome["failed"] == 1
    row = Job.objects.get()
    assert row.state == State.FAILED and "died 5 times while it did this job" in row.error


def test_error_of_the_sweeper_is_in_the_language_of_the_requester(dataset: Dataset) -> None:
    from tests.factories import UserFactory

    job = services.enqueue(kind=Kind.ENCODE, dataset=dataset, user=UserFactory(language="ja"))
    Job.objects.filter(pk=job.pk).update(state=State.RUNNING, attempt=5, deaths=4)
    assert Watch().after(SILENT_AFTER)["failed"] == 1
    assert "ワーカー" in Job.objects.get(pk=job.pk).error
    assert Event.objects.filter(kind="job.failed").count() == 1


def test_message_that_the_broker_lost_is_sent_again(dataset: Dataset, broker: str) -> None:
    job = enqueue_encoding(dataset)
    watch = Watch()
    assert watch.after(SEND_AFTER)["resent"] == 1, "the job was never sent"
    from mekiki.config.celery import app

    with app.connection_for_read() as queue:
        message = queue.SimpleQueue("celery").get(timeout=60)
    assert message.headers["task"] == "workers.tasks.encode"
    assert message.payload[0] == [str(job.pk)]
    message.ack()
    assert watch.after(RESEND_AFTER - 5)["resent"] == 0, "the job was sent a moment ago"
    assert watch.after(5)["resent"] == 1, "no worker claimed the job"


def test_failing_with_retries_ends_at_the_limit(dataset: Dataset) -> None:
    job = enqueue_encoding(dataset)
    for attempt in range(1, job.max_attempts + 1):
        services.fail(claim(job), f"error {attempt}", retry=True)
    row = Job.objects.get()
    assert (row.state, row.attempt, row.error) == (State.FAILED, 5, "error 5")


def test_waiting_and_running_jobs_are_cancelled(dataset: Dataset) -> None:
    waiting = enqueue_encoding(dataset)
    services.cancel(job=waiting, user=None)
    assert Job.objects.get(pk=waiting.pk).state == State.CANCELLED
    assert services.claim(str(waiting.pk)) is None
    running = claim(enqueue_encoding(dataset))
    services.cancel(job=running, user=None)
    with pytest.raises(CancelledError):
        services.record_heartbeat(running, done=1)
    services.finish_cancelled(running)
    row = Job.objects.get(pk=running.pk)
    assert row.state == State.CANCELLED and row.finished_at is not None
    services.cancel(job=row, user=None)  # for an ended job: no effect
    assert Event.objects.filter(kind="job.cancel_requested").count() == 2


def test_cancelled_job_of_a_dead_worker_is_not_started_again(dataset: Dataset) -> None:
    job = claim(enqueue_encoding(dataset))
    services.cancel(job=job, user=None)
    Watch().after(SILENT_AFTER)
    assert Job.objects.get().state == State.CANCELLED


def test_job_requested_while_running_runs_again(dataset: Dataset) -> None:
    running = claim(enqueue_encoding(dataset, first=1))
    again = enqueue_encoding(dataset, second=2)
    assert again.pk == running.pk and Job.objects.count() == 1
    services.succeed(running, {})
    rows = list(Job.objects.order_by("created_at"))
    assert [row.state for row in rows] == [State.SUCCEEDED, State.QUEUED]
    assert rows[1].payload == {"first": 1, "second": 2}
    assert not rows[1].rerun_requested
    services.succeed(claim(rows[1]), {})
    assert Job.objects.count() == 2


def test_a_later_payload_replaces_values_of_an_earlier_one(dataset: Dataset) -> None:
    first = enqueue_encoding(dataset, encoder="a", kept=1)
    assert enqueue_encoding(dataset, encoder="b").payload == {"encoder": "b", "kept": 1}
    running = claim(first)
    assert running.payload == {"encoder": "b", "kept": 1} and not running.rerun_requested
    enqueue_encoding(dataset, encoder="c")
    enqueue_encoding(dataset, encoder="d")
    services.succeed(running)
    assert Job.objects.get(state=State.QUEUED).payload == {"encoder": "d", "kept": 1}


def test_job_requested_again_before_its_worker_died_is_queued_once(dataset: Dataset) -> None:
    job = enqueue_encoding(dataset)
    Job.objects.update(max_attempts=1)
    running = claim(job)
    enqueue_encoding(dataset, encoder="b")
    running.refresh_from_db()
    assert services.handle_dead_worker(job_id=job.pk, attempt=1, beats=running.beats) == State.FAILED
    again = Job.objects.get(state=State.QUEUED)
    assert again.payload == {"encoder": "b"} and not again.rerun_requested


def test_job_requested_again_before_it_failed_is_queued_once(dataset: Dataset) -> None:
    running = claim(enqueue_encoding(dataset))
    enqueue_encoding(dataset)  # the cause of the coming failure was fixed
    services.fail(running, "No prompt.")
    assert [row.state for row in Job.objects.order_by("created_at")] == [State.FAILED, State.QUEUED]
    services.fail(claim(Job.objects.get(state=State.QUEUED)), "Still no prompt.")
    assert Job.objects.count() == 2


def test_job_and_event_are_rolled_back_together(dataset: Dataset) -> None:
    from django.db import transaction

    with pytest.raises(RuntimeError), transaction.atomic():
        enqueue_encoding(dataset)
        raise RuntimeError
    assert not Job.objects.exists() and not Event.objects.exists()


@pytest.mark.parametrize("hours", [-1, 1, 24 * 365, -24 * 365])
def test_jobs_are_recovered_after_the_clock_was_set(dataset: Dataset, broker: str, hours: int) -> None:
    """Every stored time lies an hour, or a year, in the future or in the past."""
    running = claim(enqueue_encoding(dataset))
    waiting = services.enqueue(kind=Kind.PREDICT, dataset=dataset)
    with connection.cursor() as cursor:
        columns = ("created_at", "sent_at", "started_at", "heartbeat_at", "declined_at")
        moved = ", ".join(f"{name} = now() + make_interval(hours => %(hours)s)" for name in columns)
        cursor.execute(f"UPDATE jobs_job SET {moved}", {"hours": hours})
    assert Watch().after(RESEND_AFTER + 5) == {"given_back": 1, "failed": 0, "resent": 2}
    assert claim(running).attempt == 2 and claim(waiting).attempt == 1


def test_worker_that_declined_claims_again_after_the_clock_was_set_back(dataset: Dataset) -> None:
    job = claim(enqueue_encoding(dataset))
    services.decline(job, worker="here", reason="other vectors")
    assert services.claim(str(job.pk), worker="here") is None
    with connection.cursor() as cursor:
        cursor.execute("UPDATE jobs_job SET declined_at = now() + interval '1 hour'")
    assert services.claim(str(job.pk), worker="here") is not None


def test_sweeper_that_was_stopped_keeps_jobs_of_live_workers(dataset: Dataset) -> None:
    """The sweeper was stopped, or the database did not answer, for an hour.

    Workers could not report either.
    """
    job = claim(enqueue_encoding(dataset))
    watch = Watch()
    watch.sweep()
    watch.seconds += 3600
    assert watch.sweep()["given_back"] == 0
    services.record_heartbeat(job)
    assert watch.after(SILENT_AFTER)["given_back"] == 1


def test_job_that_changed_after_the_query_is_not_given_back(dataset: Dataset) -> None:
    """Between the query and the update the worker reported, or another sweeper was faster."""
    job = claim(enqueue_encoding(dataset))
    outdated = Job.objects.get(pk=job.pk)
    services.record_heartbeat(job)
    assert (
        services.handle_dead_worker(job_id=outdated.pk, attempt=outdated.attempt, beats=outdated.beats) == ""
    )
    assert Job.objects.get().state == State.RUNNING


def test_planned_stops_are_not_counted_as_deaths(dataset: Dataset) -> None:
    """The worker restarts ten times during the job.

    The job is given back, or the worker is killed after a request to stop.
    """
    job = enqueue_encoding(dataset)
    for number in range(10):
        claimed_job = services.claim(str(job.pk), holder=f"worker {number}")
        assert claimed_job is not None
        assert services.mark_worker_stopping(holder=f"worker {number}") == 1
        services.record_heartbeat(claimed_job)
        assert claimed_job.holder_stops
        if number % 2:
            services.requeue(claimed_job)
        else:
            assert Watch().after(SILENT_AFTER)["given_back"] == 1
    row = Job.objects.get()
    assert (row.state, row.deaths, row.attempt) == (State.QUEUED, 0, 10)
    with pytest.raises(LostClaimError):
        services.requeue(claimed_job)


def test_waiting_is_not_counted_as_deaths(dataset: Dataset) -> None:
    """Workers that cannot be reached, or die while the job waits, do not count as attempts."""
    enqueue_encoding(dataset)
    Watch().after(600)
    assert Job.objects.get().deaths == 0


def test_deaths_are_counted_anew_after_their_cause_is_known(dataset: Dataset) -> None:
    job = enqueue_encoding(dataset)
    for _ in range(7):
        claimed_job = claim(job)
        services.forget_deaths(claimed_job)
        Watch().after(SILENT_AFTER)
    row = Job.objects.get()
    assert (row.state, row.deaths) == (State.QUEUED, 1)
