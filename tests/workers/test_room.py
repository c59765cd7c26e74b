"""Jobs and uploads on a disk that is full or cannot be written: they wait and resume automatically."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from django.db import OperationalError
from django.test import Client
from django.urls import reverse
from PIL import Image as PillowImage

from mekiki.config import disk
from mekiki.datasets.models import Dataset, Image, ImportBatch
from mekiki.datasets.services import finish_upload, import_folder, start_upload
from mekiki.exports.services import freeze
from mekiki.jobs import progress
from mekiki.jobs.models import Job, Kind, State
from mekiki.jobs.services import cancel, enqueue
from mekiki.jobs.waiting import SpaceWatch
from tests.factories import DatasetFactory, UserFactory, png
from tests.small_disk import fill, mounted, room
from workers.errors import StageError
from workers.runner import Report, run_job

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[Path]:
    """Mount a home on a disk of 24 MB, of which bulk work leaves 1 MB free."""
    with mounted(tmp_path / "disk", 24) as folder:
        monkeypatch.setenv("MEKIKI_HOME", str(folder))
        monkeypatch.setenv("MEKIKI_RESERVE_MB", "1")
        settings.HOME = folder
        settings.STORAGES = {
            **settings.STORAGES,
            "default": {**settings.STORAGES["default"], "OPTIONS": {"location": folder / "files"}},
        }
        yield folder


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Create eight files of about half a megabyte that cannot be compressed."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(8):
        noise = random.integers(0, 256, (400, 400, 3), np.uint8)
        PillowImage.fromarray(noise).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def dataset() -> Dataset:
    return DatasetFactory(admin=UserFactory(username="admin"))


def drafts(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if "draft" in path.name]


def test_import_waits_below_the_reserve_and_continues(
    home: Path, pictures: Path, dataset: Dataset, django_assert_num_queries: Any
) -> None:
    job = import_folder(dataset=dataset, path=pictures, user=None)
    filler = fill(home, leave=900_000)
    assert run_job(str(job.pk)) == "waits"
    job.refresh_from_db()
    assert (job.state, job.waiting_for, job.attempt, job.retries) == (State.QUEUED, disk.FULL, 0, 0)
    assert "disk is nearly full" in progress.job_status(job).detail
    with django_assert_num_queries(1):  # nothing is written while it waits
        assert run_job(str(job.pk)) == "waits"
    filler.unlink()
    assert run_job(str(job.pk)) == "succeeded"
    job.refresh_from_db()
    assert (job.waiting_for, job.attempt, Image.objects.count()) == ("", 1, 8)


def test_disk_that_fills_up_during_an_import_leaves_no_drafts(
    home: Path, pictures: Path, dataset: Dataset
) -> None:
    job = import_folder(dataset=dataset, path=pictures, user=None)
    filler = fill(home, leave=1_300_000)
    assert run_job(str(job.pk)) == "waits"
    job.refresh_from_db()
    assert (job.state, job.waiting_for, job.retries, job.deaths) == (State.QUEUED, disk.FULL, 0, 0)
    assert drafts(home) == []
    filler.unlink()
    assert run_job(str(job.pk)) == "succeeded"
    batch = ImportBatch.objects.get()
    assert (batch.added, batch.rejected) == (8, 0)


def test_a_running_job_stops_below_the_reserve_before_the_disk_is_full(
    home: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.runner.DISK_CHECK_INTERVAL", 0.0)
    job = enqueue(kind=Kind.TRAIN, dataset=dataset)

    def stage(claimed_job: Job, report: Report) -> None:
        report(stage="training")
        fill(home, leave=500_000)
        report(done=1)
        raise AssertionError("the stage continued")

    assert run_job(str(job.pk), stage) == "waits"
    assert room(home) > 0
    # A user may still stop it.
    cancel(job=job, user=None)
    job.refresh_from_db()
    assert job.state == State.CANCELLED


def test_refill_of_the_queue_does_not_wait_for_the_reserve(home: Path, dataset: Dataset) -> None:
    job = enqueue(kind=Kind.REFILL, dataset=dataset)
    fill(home)
    assert run_job(str(job.pk), lambda claimed_job, report: {}) == "succeeded"


@pytest.mark.parametrize("cause", [psycopg.errors.DiskFull("x"), OSError(28, "x"), OSError(122, "x")])
def test_full_disk_is_recognised_behind_other_errors(dataset: Dataset, cause: Exception) -> None:
    """PostgreSQL's own disk, and a library that wraps the error."""
    job = enqueue(kind=Kind.TRAIN, dataset=dataset)

    def stage(claimed_job: Job, report: Report) -> None:
        outer = OperationalError("x") if isinstance(cause, psycopg.Error) else StageError("download failed")
        raise outer from cause

    for _ in range(7):  # more often than a job may fail
        assert run_job(str(job.pk), stage) == "waits"
    assert run_job(str(job.pk), lambda claimed_job, report: {}) == "succeeded"


def test_a_read_only_disk_lets_jobs_wait(home: Path, pictures: Path, dataset: Dataset) -> None:
    job = import_folder(dataset=dataset, path=pictures, user=None)
    remount(home, "ro")
    assert run_job(str(job.pk)) == "waits"
    job.refresh_from_db()
    assert job.waiting_for == disk.READ_ONLY
    assert "cannot be written" in progress.job_status(job).detail
    remount(home, "rw")
    assert run_job(str(job.pk)) == "succeeded"


def remount(folder: Path, mode: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{mode}", str(folder)], check=True)


def test_a_label_set_waits_on_a_full_disk(home: Path) -> None:
    from mekiki.audit.private_key import settle_key
    from tests.exports.helpers import make_judged
    from workers.stages.freeze import run

    settle_key()
    judged = make_judged()
    label_set = freeze(dataset=judged.dataset, user=judged.admin, note="", include_images=True)
    assert label_set.job is not None

    def stage(claimed_job: Job, report: Report) -> Any:
        fill(home)
        return run(claimed_job, report)

    assert run_job(str(label_set.job.pk), stage) == "waits"
    assert drafts(home) == []
    (home / "filler").unlink()
    assert run_job(str(label_set.job.pk)) == "succeeded"


def test_upload_on_a_full_disk_is_refused_and_can_be_repeated(
    home: Path, dataset: Dataset, client: Client
) -> None:
    admin = dataset.memberships.get().user
    client.force_login(admin)
    batch = start_upload(dataset=dataset, user=admin)
    address = reverse("import-files", args=[dataset.slug, batch.pk]) + "?part={}"

    def send(part: int) -> Any:
        headers = {
            "X-File-Name": f"{part}.png",
            "X-File-Size": str(len(png(part))),
            "Accept": "application/json",
        }
        return client.post(address.format(part), png(part), "application/octet-stream", headers=headers)

    assert send(0).status_code == 200
    filler = fill(home)
    refused = send(1)
    assert refused.status_code == 507
    assert refused.json()["code"] == disk.FULL
    assert "disk of the server is full" in refused.json()["detail"]
    assert drafts(home) == []
    start = client.post(reverse("import-start", args=[dataset.slug]), headers={"Accept": "application/json"})
    assert start.status_code == 507
    page = client.post(reverse("import", args=[dataset.slug]), {"files": [open_png()]})
    assert page.status_code == 507
    assert "No space on the disk" in page.content.decode()
    filler.unlink()
    assert send(1).json() == {"taken": 1}
    job = finish_upload(batch=batch, user=admin)
    assert run_job(str(job.pk)) == "succeeded"
    assert Image.objects.count() == 2


def open_png() -> Any:
    from django.core.files.uploadedfile import SimpleUploadedFile

    return SimpleUploadedFile("a.png", png(7))


def test_lines_of_an_upload_that_do_not_fit_are_removed(home: Path, dataset: Dataset) -> None:
    from mekiki.datasets.services.incoming import Received, append_files

    folder = home / "upload"
    folder.mkdir()
    append_files(folder, [Received("first.png", 1)])
    fill(home)
    before = (folder / "names.jsonl").read_bytes()
    drafts = [folder / "draft-x", folder / "draft-y"]
    for draft in drafts:
        draft.touch()
    with pytest.raises(OSError, match="No space left"):
        append_files(folder, [Received("x", 1, drafts[0]), Received("n" * 8000, 1, drafts[1])])
    assert (folder / "names.jsonl").read_bytes() == before
    assert [path.name for path in folder.iterdir()] == ["names.jsonl"]
    (home / "filler").unlink()
    append_files(folder, [Received("second.png", 1)])
    assert [json.loads(line)["name"] for line in (folder / "names.jsonl").read_text().splitlines()] == [
        "first.png",
        "second.png",
    ]


def test_admins_see_a_warning_below_the_reserve(home: Path, client: Client) -> None:
    client.force_login(UserFactory(username="boss", is_superuser=True))
    assert client.get("/healthz").json()["status"] == "ok"
    assert "Everything runs" in client.get(reverse("system")).content.decode()
    fill(home)
    assert client.get("/healthz").json()["status"] == "degraded"
    for name in ("system", "home"):
        assert "Less than the reserve is free" in client.get(reverse(name)).content.decode()
    client.force_login(UserFactory(username="reviewer"))
    assert "reserve" not in client.get(reverse("home")).content.decode()


def test_waiting_jobs_are_sent_when_the_disk_has_space(
    home: Path, pictures: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweeper does not wait half a minute before it sends a message again."""
    sent: list[str] = []
    monkeypatch.setattr("mekiki.jobs.waiting.send_message", lambda job, kind: bool(sent.append(job) or True))
    job = import_folder(dataset=dataset, path=pictures, user=None)
    enqueue(kind=Kind.REFILL, dataset=dataset)  # which waits for a worker only
    filler = fill(home)
    assert run_job(str(job.pk)) == "waits"
    watch = SpaceWatch()
    assert watch.check() == {"sent": 0}
    filler.unlink()
    assert watch.check() == {"sent": 1} and sent == [str(job.pk)]
    assert watch.check() == {"sent": 0}
