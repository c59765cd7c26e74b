"""After `kill -9` of any process no decision and no job is lost, and nothing has an effect twice.

The tests use real processes and real photographs, and check the database. Each test reports the recovery
time.
"""

import hashlib
import os
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from mekiki.embedded import places
from mekiki.embedded.supervisor import Platform
from tests import prepared_homes
from tests.e2e.killing import Reviewer, Site, check_answers
from tests.waiting import until

pytestmark = pytest.mark.slow

LEASE_SECONDS = 12
# These tests do not use the session's own servers.
SETTINGS = {
    "DATABASE_URL": "",
    "BROKER_URL": "",
    "MEKIKI_LEASE_SECONDS": str(LEASE_SECONDS),
    "MEKIKI_EMBEDDING_CHUNK": "8",
}


def copy_photographs(source: Path, folder: Path, per_class: int) -> Path:
    """Copy photographs of six classes to `folder` and return it."""
    for of_class in sorted(path for path in source.iterdir() if path.is_dir()):
        for file in sorted(of_class.iterdir())[:per_class]:
            shutil.copy(file, folder / file.name)
    return folder


def count_different(photos: Path) -> int:
    """Return the number of different photographs. The collection contains a few twice."""
    return len({hashlib.sha256(file.read_bytes()).digest() for file in photos.iterdir()})


@pytest.fixture(scope="module")
def photos(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return 90 photographs, which are many chunks of embeddings."""
    return copy_photographs(photographs, tmp_path_factory.mktemp("photographs"), 15)


@pytest.fixture(scope="module")
def images(photos: Path) -> int:
    return count_different(photos)


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, photographs: Path
) -> Iterator[Site]:
    """Start one platform for all tests.

    The dataset "answers" is predicted and waits for reviewers, with more images than they can answer. The
    other datasets are empty.
    """
    many = copy_photographs(photographs, tmp_path_factory.mktemp("many"), 40)
    home = prepared_homes.prepare(tmp_path_factory.mktemp("killing") / "home")
    platform = Platform(home, quiet=True, env=SETTINGS)
    try:
        platform.start()
        site = Site(platform, ["answers", "main", "broker", "database", "child", "all"])
        site.bring_in("answers", many)
        until(lambda: site.finished("answers"), "the first dataset is predicted")
        site.check_complete("answers", count_different(many))
        yield site
        site.close()
    finally:
        platform.stop()
        places.delete_database(platform.home / "postgres")
        shutil.rmtree(platform.home, ignore_errors=True)


def start_embedding(site: Site, slug: str, photos: Path, images: int) -> None:
    """Start a dataset and return while its embeddings are being computed, with some of them stored."""
    site.bring_in(slug, photos)
    stored = until(lambda: site.embedded(slug), "the first embeddings are stored", every=0.005)
    assert stored < images, "all embeddings were stored before the check"


def print_seconds(description: str, since: float) -> None:
    print(f"\n    {description}: {time.monotonic() - since:.1f} s", end="", flush=True)


@dataclass(frozen=True)
class InterruptedJob:
    """A dataset whose job was interrupted by a kill, and the attempt that shows that it was resumed."""

    slug: str
    since: float
    kind: str = "encode"
    attempt: int = 2


def check_resumed_jobs(site: Site, images: int, *interrupted: InterruptedJob) -> None:
    """Check that the interrupted jobs are resumed and that everything after them is done.

    benchmarks/chaos.py measures after how many seconds a worker resumes a job.
    """
    for job in interrupted:
        until(
            lambda job=job: site.attempt(job.slug, job.kind) >= job.attempt,
            f"a worker resumes the job of {job.slug}",
        )
        print_seconds(f"job of “{job.slug}” taken up", job.since)
    for job in interrupted:
        until(lambda slug=job.slug: site.finished(slug), f"{job.slug} is finished")
        print_seconds(f"“{job.slug}” encoded and predicted", job.since)
        site.check_complete(job.slug, images)


def have_answered_more(reviewers: list[Reviewer], before: list[int], more: int) -> bool:
    """Return whether every reviewer has given this many more answers, or can give no more."""
    enough = all(len(r.answers) >= n + more for r, n in zip(reviewers, before))
    return enough or any(reviewer.broken for reviewer in reviewers)


def test_answers_survive_kills_of_the_web_server(site: Site) -> None:
    """The main process is killed three times and its workers three times.

    One reviewer never returns after the first kill.
    """
    vanishing = Reviewer(site, "answers", "vanishing")
    leased_items = [leased["item"] for leased in vanishing.insist("next", {"count": 5})[0]["items"]]
    assert len(leased_items) == 5
    reviewers = [Reviewer(site, "answers", name) for name in ("admin", "reviewer")]
    with reviewers[0], reviewers[1]:
        for number in range(6):
            before = [len(reviewer.answers) for reviewer in reviewers]
            until(
                lambda b=before: have_answered_more(reviewers, b, 4),
                "both have answered four more images",
            )
            if number % 2:
                site.kill_children("web")
            else:
                site.kill("web")
        for reviewer in reviewers:
            reviewer.pace = 0.3
        count_waiting = "SELECT count(*) FROM review_queueitem WHERE id = ANY(%s) AND state = 'waiting'"
        until(
            lambda: not site.first_value(count_waiting, leased_items),
            "what the vanished reviewer held was given on",
        )
    check_answers(site, "answers")
    answers = [answer for reviewer in reviewers for answer in reviewer.answers]
    repeated = [answer for answer in answers if answer.tries > 1]
    assert repeated, "no answer was interrupted by a kill"
    print(
        f"\n    {len(answers)} answers, {len(repeated)} sent more than once,"
        f" {sum(a.reply['duplicate'] for a in repeated)} of them recorded at the first try;"
        f" the longest took {max(r.longest for r in reviewers):.1f} s"
    )
    # The same answer much later gives the same decision.
    first = reviewers[0].answers[0]
    reply = reviewers[0].insist(
        "answer",
        {
            "item": first.item,
            "lease": 1,
            "kind": "correct",
            "label": first.label,
            "client_key": str(first.key),
        },
    )[0]
    assert (reply["decision"], reply["duplicate"]) == (first.reply["decision"], True)


def test_answers_and_jobs_survive_a_kill_of_the_database(site: Site, photos: Path, images: int) -> None:
    reviewers = [Reviewer(site, "answers", name) for name in ("admin", "reviewer")]
    for reviewer in reviewers:
        reviewer.pace = 0.1  # some images are left at the end on any machine
    with reviewers[0], reviewers[1]:
        start_embedding(site, "database", photos, images)
        before = [len(reviewer.answers) for reviewer in reviewers]
        killed = site.kill("postgres")
        site.close()
        assert 0 < site.embedded("database") < images
        print_seconds("PostgreSQL answers again", killed)
        until(lambda: have_answered_more(reviewers, before, 5), "both have answered five more images")
        print_seconds("both reviewers go on", killed)
    check_answers(site, "answers")
    check_resumed_jobs(site, images, InterruptedJob("database", killed))


def test_jobs_survive_a_killed_worker_and_a_broker_without_messages(
    site: Site, photos: Path, images: int
) -> None:
    start_embedding(site, "main", photos, images)
    before = site.platform.pids()
    killed = site.kill("worker")
    assert 0 < site.embedded("main") < images
    until(lambda: site.was_restarted("worker", before["worker"]), "the worker is started again")
    print_seconds("worker started again", killed)

    # A queued job whose message no worker has read, and a broker that loses the message.
    site.pause("worker", signal.SIGSTOP)
    site.bring_in("broker", photos)
    sent = (
        "SELECT count(*) FROM jobs_job j JOIN datasets_dataset d ON d.id = j.dataset_id"
        " WHERE d.slug = 'broker'"
    )
    until(
        lambda: site.first_value(sent + " AND j.kind = 'import_images' AND j.sent_at IS NOT NULL"),
        "it is sent",
    )
    lost = site.kill("valkey")
    until(lambda: site.was_restarted("valkey", before["valkey"]), "the broker is started again")
    broker = redis.Redis(unix_socket_path=site.platform.broker_url.removeprefix("redis+socket://"))
    until(lambda: _is_answering(broker), "the broker answers")
    broker.flushall()
    site.pause("worker", signal.SIGCONT)
    print_seconds("broker runs again, empty", lost)

    check_resumed_jobs(
        site,
        images,
        InterruptedJob("main", killed),
        InterruptedJob("broker", lost, kind="import_images", attempt=1),
    )
    assert [job[2] for job in site.jobs("broker")] == [1] * len(site.jobs("broker"))


def _is_answering(broker: redis.Redis) -> bool:
    try:
        return bool(broker.ping())
    except redis.RedisError:
        return False


def test_jobs_survive_kills_of_the_computing_process_and_supervisor(
    site: Site, photos: Path, images: int
) -> None:
    """First the computing processes are killed under a living main process.

    Then the supervisor is killed, with another job.
    """
    start_embedding(site, "child", photos, images)
    site.kill_children("worker")
    assert 0 < site.embedded("child") < images

    start_embedding(site, "all", photos, images)
    site.close()
    os.kill(site.platform.pid, signal.SIGKILL)
    all_killed = time.monotonic()
    assert site.platform.wait() == -signal.SIGKILL
    site.platform.start()
    print_seconds("platform started again", all_killed)
    # The new sweeper has seen no heartbeat of either job, so both are silent since the restart of the
    # platform.
    check_resumed_jobs(site, images, InterruptedJob("child", all_killed), InterruptedJob("all", all_killed))
