"""Several workers embed one dataset.

No image is embedded twice, the images of a dead worker are free at once, and late helpers stop at once.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from django.db import Error, connection

from mekiki.jobs.models import Job, Kind, State
from mekiki.jobs.services import cancel, claim, enqueue
from mekiki.learning.models import Embedding, EncodingProblem
from mekiki.learning.selectors import embedded_count
from tests.factories import DatasetFactory, EncoderFactory, ImageFactory, JobFactory
from tests.roles import as_owner
from tests.workers.conftest import COLOURS, PROMPTS, add_image, picture
from workers.runner import run_job
from workers.stages import encode
from workers.steps import sharing
from workers.steps.sharing import ChunkQueue

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "CHUNK", 4)


@pytest.fixture
def encoder() -> Any:
    return EncoderFactory(dim=4)


@pytest.fixture
def dataset() -> Any:
    dataset = DatasetFactory()
    for _ in range(30):
        ImageFactory(dataset=dataset)
    return dataset


@pytest.fixture
def elsewhere() -> Iterator[Callable[..., Any]]:
    """Run a call in another thread with an open database connection and return its result."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        yield lambda call, *arguments, **options: pool.submit(call, *arguments, **options).result()
        pool.submit(lambda: connection.close()).result()


def vectors(n: int) -> np.ndarray:
    return np.eye(4)[np.arange(n) % 4]


def embed_all(chunks: ChunkQueue, claimed: list[int]) -> None:
    while (chunk := chunks.claim()) is not None:
        ids = [image.pk for image in chunk.images]
        claimed += ids
        chunks.store(chunk, ids, vectors(len(ids)), {})


def test_no_image_is_embedded_twice(encoder: Any, dataset: Any) -> None:
    together, start = [], threading.Barrier(4)

    def work() -> None:
        mine: list[int] = []
        start.wait()
        try:
            chunks = ChunkQueue(dataset, encoder)
            embed_all(chunks, mine)
            chunks.close()
        finally:
            connection.close()
        together.append(mine)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = Counter(pk for mine in together for pk in mine)
    assert set(counts.values()) == {1} and set(counts) == set(dataset.images.values_list("pk", flat=True))
    assert embedded_count(encoder=encoder, dataset=dataset) == Embedding.objects.count() == 30


def test_what_a_dead_worker_held_is_free_at_once_and_it_cannot_store(
    encoder: Any, dataset: Any, elsewhere: Callable[..., Any]
) -> None:
    dead = ChunkQueue(dataset, encoder)
    chunk = elsewhere(dead.claim)
    pid = elsewhere(lambda: connection.connection.info.backend_pid)
    mine: list[int] = []
    living = ChunkQueue(dataset, encoder)
    embed_all(living, mine)
    held = {image.pk for image in chunk.images}
    assert not held & set(mine) and living.left(), "what it holds is left to it"
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    living.rewind()
    embed_all(living, mine)
    assert held <= set(mine) and len(mine) == 30 and not living.left()
    with pytest.raises(Error):
        elsewhere(dead.store, chunk, sorted(held), vectors(len(held)), {})
    elsewhere(dead.close)


def test_a_worker_that_hangs_is_not_waited_for(
    encoder: Any, dataset: Any, elsewhere: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = ChunkQueue(dataset, encoder)
    held = elsewhere(hanging.claim)
    chunks = ChunkQueue(dataset, encoder)
    embed_all(chunks, [])
    chunks.rewind()
    assert chunks.claim(take_from_hung=True) is None, "it has only just said something"
    monkeypatch.setattr(sharing, "HUNG", 0.0)
    chunks.rewind()
    assert chunks.claim() is None
    chunks.rewind()
    chunk = chunks.claim(take_from_hung=True)
    assert chunk is not None and chunk.number == held.number
    ids = [image.pk for image in chunk.images]
    chunks.store(chunk, ids, vectors(len(ids)), {})
    elsewhere(hanging.store, held, ids, vectors(len(ids)), {})  # it resumes without an effect
    assert Embedding.objects.count() == 30 and hanging.embedded == 0


def test_images_deleted_meanwhile_are_left_out(encoder: Any, dataset: Any) -> None:
    chunks = ChunkQueue(dataset, encoder)
    chunk = chunks.claim()
    assert chunk is not None
    ids = [image.pk for image in chunk.images]
    with as_owner():
        dataset.images.filter(pk__in=[ids[0], ids[-1]]).delete()
    chunks.store(chunk, ids[:-1], vectors(len(ids) - 1), {ids[-1]: "damaged"})
    assert Embedding.objects.count() == max(0, len(ids) - 2) and not EncodingProblem.objects.exists()
    chunks.close()


def coloured(encoder_name: str) -> Any:
    from mekiki.labeling.services import set_schema
    from tests.factories import UserFactory

    admin = UserFactory()
    dataset = DatasetFactory(admin=admin, encoder_name=encoder_name)
    for number in range(24):
        add_image(dataset, picture(list(COLOURS.values())[number % 3], number), f"{number}.png", 0.5)
    labels = [{"name": name, "prompts": prompts} for name, prompts in PROMPTS.items()]
    set_schema(dataset=dataset, labels=labels, user=admin)
    Job.objects.all().delete()
    return dataset


def test_one_leads_and_another_helps(
    tiny_encoder: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = coloured(tiny_encoder)
    job = enqueue(kind=Kind.ENCODE, dataset=dataset)
    helped: list[int] = []
    helpers: list[threading.Thread] = []

    def help_now(progress: Any) -> None:
        def work() -> None:
            try:
                helped.append(encode.help_with(str(job.pk), progress._row.pk))
            finally:
                connection.close()

        helpers.append(threading.Thread(target=work))
        helpers[-1].start()

    monkeypatch.setattr(encode, "HELP_FROM", 1)
    monkeypatch.setattr(encode, "HELPERS", 2)
    monkeypatch.setattr(encode._Progress, "_ask_for_help", help_now)
    caplog.set_level("INFO", "workers.steps.sharing")
    assert run_job(str(job.pk)) == "succeeded"
    for helper in helpers:
        helper.join()
    job.refresh_from_db()
    assert len(helpers) == 2 and job.result["embedded"] == 24 == job.result["here"] + sum(helped)
    assert (job.done, job.total, job.unit) == (24, 24, "images")
    assert Embedding.objects.count() == 24 and "1 not new" not in caplog.text
    assert Job.objects.filter(kind=Kind.PREDICT).count() == 1, "predictions are asked for once"


def test_a_worker_with_another_encoder_of_that_name_does_not_help(tiny_encoder: str) -> None:
    job = enqueue(kind=Kind.ENCODE, dataset=coloured(tiny_encoder))
    assert claim(str(job.pk)) is not None
    leads = EncoderFactory(name=tiny_encoder, dim=32)  # other weights, or the precision of a GPU
    assert encode.help_with(str(job.pk), leads.pk) == 0
    assert not Embedding.objects.exists()


def test_help_that_is_not_wanted_ends_at_once(dataset: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def loads(*_arguments: Any) -> Any:
        raise AssertionError("the encoder was loaded for nothing")

    monkeypatch.setattr(encode, "encoder_for", loads)
    job = enqueue(kind=Kind.ENCODE, dataset=dataset)
    assert encode.help_with("00000000-0000-0000-0000-000000000000", 1) == 0
    assert encode.help_with(str(job.pk), 1) == 0, "it waits itself: who is idle should begin it"
    assert claim(str(job.pk)) is not None
    with pytest.raises(AssertionError, match="for nothing"):
        encode.help_with(str(job.pk), 1)
    other = JobFactory(state=State.QUEUED, kind=Kind.REFILL)
    assert encode.help_with(str(job.pk), 1) == 0, "other work comes first"
    other.delete()
    cancel(job=job, user=None)
    assert encode.help_with(str(job.pk), 1) == 0
    Job.objects.filter(pk=job.pk).update(state=State.SUCCEEDED)
    assert encode.help_with(str(job.pk), 1) == 0
