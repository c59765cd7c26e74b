"""Images that kill the worker are found and set aside. The worker of these tests is really killed."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mekiki.datasets.models import Image, ImportProblem
from mekiki.datasets.services import import_folder
from mekiki.jobs.models import InHand, Job, Kind, State
from mekiki.jobs.services import enqueue
from mekiki.jobs.sweeping import SILENT_AFTER
from mekiki.learning.messages import KILLS_WORKER
from mekiki.learning.models import Embedding, EncodingProblem
from tests.factories import DatasetFactory, UserFactory
from tests.jobs.watch import Watch
from tests.memory_limit import MemoryLimit, limited
from tests.workers.conftest import COLOURS, add_image, picture
from tests.workers.dying import POISON, do_job_and_die_of_poison
from tests.workers.forked import run_in_worker
from workers.encoders import Encoder
from workers.runner import run_job

pytestmark = pytest.mark.django_db(transaction=True)


def run_worker(job: Job, kind: str, memory: MemoryLimit | None = None) -> int:
    """Do a job in a separate process and return its exit status.

    It is killed when it decodes the poison, as by the system without free memory. With `memory` the kernel
    kills the process at that limit.
    """
    status = run_in_worker(do_job_and_die_of_poison, str(job.pk), kind, memory)
    assert status in (0, -signal.SIGKILL)
    return status


@pytest.fixture(params=["killed", "out of memory"])
def memory(request: pytest.FixtureRequest) -> Iterator[MemoryLimit | None]:
    """Test with SIGKILL (memory=None) or with a memory limit that the kernel enforces."""
    if request.param == "killed":
        yield None
        return
    with limited(600) as limit:
        yield limit


def test_a_file_that_kills_the_import_is_refused_by_name(tmp_path: Path, memory: MemoryLimit | None) -> None:
    for number in range(6):
        content = picture(list(COLOURS.values())[number % 3], number)
        (tmp_path / f"{number}.png").write_bytes(content + (POISON if number == 3 else b""))
    dataset = DatasetFactory(admin=UserFactory())
    job = import_folder(dataset=dataset, path=tmp_path, user=dataset.created_by)
    deaths = 0
    while run_worker(job, "import", memory) != 0:
        deaths += 1
        assert deaths <= 3, "one death with several images, two with this image alone"
        assert Watch().after(SILENT_AFTER)["given_back"] == 1
    job.refresh_from_db()
    assert (job.state, job.deaths, deaths) == (State.SUCCEEDED, 0, 3)
    assert sorted(Image.objects.values_list("name", flat=True)) == [f"{n}.png" for n in (0, 1, 2, 4, 5)]
    problem = ImportProblem.objects.get()
    assert (problem.name, problem.code) == ("3.png", "kills_worker")
    assert not InHand.objects.exists()
    assert memory is None or memory.kills() == 3


def test_an_image_that_kills_the_encoder_is_set_aside(tiny_encoder: str, monkeypatch: Any) -> None:
    dataset = DatasetFactory(admin=UserFactory(), encoder_name=tiny_encoder, use_detail=True)
    for number in range(6):
        content = picture(list(COLOURS.values())[number % 3], number)
        add_image(dataset, content + (POISON if number == 3 else b""), f"{number}.png", 0.5)
    poison = Image.objects.get(name="3.png")
    job = enqueue(kind=Kind.ENCODE, dataset=dataset)
    assert run_worker(job, "encode") == -signal.SIGKILL
    assert InHand.objects.get().items == ["all"] and not Embedding.objects.exists()
    assert Watch().after(SILENT_AFTER)["given_back"] == 1

    # The next worker processes the images one by one and dies at this one. So does the worker after it.
    assert run_worker(job, "encode") == -signal.SIGKILL
    assert InHand.objects.get().alone == str(poison.pk)
    embedded = Embedding.objects.filter(encoder__kind="image_text")
    assert embedded.count() == 3, "the images before it are stored"
    assert Watch().after(SILENT_AFTER)["given_back"] == 1
    InHand.objects.update(deaths_alone={str(poison.pk): 1})

    read: list[str] = []
    prepared = Encoder.prepared_with_detail
    monkeypatch.setattr(
        Encoder, "prepared_with_detail", lambda self, item: (read.append(str(item)), prepared(self, item))[1]
    )
    assert run_job(str(job.pk)) == "succeeded"
    problem = EncodingProblem.objects.get()
    assert (problem.image, problem.reason) == (poison, KILLS_WORKER)
    assert read and embedded.count() == 5
    assert not Embedding.objects.filter(image=poison).exists(), "its local detail is not computed either"
    assert not any(poison.sha256 in path for path in read), "the image is not read again"
    job.refresh_from_db()
    assert (job.deaths, job.result["unreadable"]) == (0, 1) and not InHand.objects.exists()


def test_a_stopped_encoding_leaves_no_suspects(tiny_encoder: str) -> None:
    from mekiki.jobs.services import WorkerStoppingError
    from workers.stages import encode

    dataset = DatasetFactory(admin=UserFactory(), encoder_name=tiny_encoder)
    for number in range(3):
        add_image(dataset, picture((9, 9, 9), number), f"{number}.png", 0.5)
    job = enqueue(kind=Kind.ENCODE, dataset=dataset)

    def stop(claimed_job: Job, report: Any) -> None:
        def report_stop(**_details: Any) -> None:
            raise WorkerStoppingError

        encode.run(claimed_job, report_stop)  # type: ignore[arg-type]

    assert run_job(str(job.pk), stop) == "put back"  # type: ignore[arg-type]
    job.refresh_from_db()
    assert (job.state, job.deaths) == (State.QUEUED, 0) and not InHand.objects.exists()
