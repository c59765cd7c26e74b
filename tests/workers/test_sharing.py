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
def in_other_thread() -> Iterator[Callable[..., Any]]:
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
    ids_of_workers, start = [], threading.Barrier(4)

    def embed_in_thread() -> None:
        image_ids: list[int] = []
        start.wait()
        try:
            chunks = ChunkQueue(dataset, encoder)
            embed_all(chunks, image_ids)
            chunks.close()
        finally:
            connection.close()
        ids_of_workers.append(image_ids)

    threads = [threading.Thread(target=embed_in_thread) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = Counter(pk for image_ids in ids_of_workers for pk in image_ids)
    assert set(counts.values()) == {1} and set(counts) == set(dataset.images.values_list("pk", flat=True))
    assert embedded_count(encoder=encoder, dataset=dataset) == Embedding.objects.count() == 30


def test_images_of_a_dead_worker_are_free_and_it_cannot_store(
    encoder: Any, dataset: Any, in_other_thread: Callable[..., Any]
) -> None:
    dead = ChunkQueue(dataset, encoder)
    chunk = in_other_thread(dead.claim)
    pid = in_other_thread(lambda: connection.connection.info.backend_pid)
    image_ids: list[int] = []
    living = ChunkQueue(dataset, encoder)
    embed_all(living, image_ids)
    held_ids = {image.pk for image in chunk.images}
    assert not held_ids & set(image_ids) and living.left(), "the images of a living worker are not taken"
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    living.rewind()
    embed_all(living, image_ids)
    assert held_ids <= set(image_ids) and len(image_ids) == 30 and not living.left()
    with pytest.raises(Error):
        in_other_thread(dead.store, chunk, sorted(held_ids), vectors(len(held_ids)), {})
    in_other_thread(dead.close)


def test_images_of_a_hanging_worker_are_taken(
    encoder: Any, dataset: Any, in_other_thread: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = ChunkQueue(dataset, encoder)
    held_chunk = in_other_thread(hanging.claim)
    chunks = ChunkQueue(dataset, encoder)
    embed_all(chunks, [])
    chunks.rewind()
    assert chunks.claim(take_from_hung=True) is None, "the other worker has just reported"
    monkeypatch.setattr(sharing, "STALLED_AFTER", 0.0)
    chunks.rewind()
    assert chunks.claim() is None
    chunks.rewind()
    chunk = chunks.claim(take_from_hung=True)
    assert chunk is not None and chunk.number == held_chunk.number
    ids = [image.pk for image in chunk.images]
    chunks.store(chunk, ids, vectors(len(ids)), {})
    in_other_thread(hanging.store, held_chunk, ids, vectors(len(ids)), {})  # it resumes without an effect
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


def make_coloured_dataset(encoder_name: str) -> Any:
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


def test_encoding_is_shared_with_helpers(
    tiny_encoder: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = make_coloured_dataset(tiny_encoder)
    job = enqueue(kind=Kind.ENCODE, dataset=dataset)
    embedded_by_helpers: list[int] = []
    helpers: list[threading.Thread] = []

    def help_now(progress: Any) -> None:
        def embed_in_thread() -> None:
            try:
                embedded_by_helpers.append(encode.help_with(str(job.pk), progress._row.pk))
            finally:
                connection.close()

        helpers.append(threading.Thread(target=embed_in_thread))
        helpers[-1].start()

    monkeypatch.setattr(encode, "HELP_FROM", 1)
    monkeypatch.setattr(encode, "HELPERS", 2)
    monkeypatch.setattr(encode._Progress, "_ask_for_help", help_now)
    caplog.set_level("INFO", "workers.steps.sharing")
    assert run_job(str(job.pk)) == "succeeded"
    for helper in helpers:
        helper.join()
    job.refresh_from_db()
    assert len(helpers) == 2 and job.result["embedded"] == 24 == job.result["here"] + sum(embedded_by_helpers)
    assert (job.done, job.total, job.unit) == (24, 24, "images")
    assert Embedding.objects.count() == 24 and "1 not new" not in caplog.text
    assert Job.objects.filter(kind=Kind.PREDICT).count() == 1, "predictions are requested once"


def test_a_worker_with_another_encoder_of_that_name_does_not_help(tiny_encoder: str) -> None:
    job = enqueue(kind=Kind.ENCODE, dataset=make_coloured_dataset(tiny_encoder))
    assert claim(str(job.pk)) is not None
    leading_encoder = EncoderFactory(name=tiny_encoder, dim=32)  # other weights, or the precision of a GPU
    assert encode.help_with(str(job.pk), leading_encoder.pk) == 0
    assert not Embedding.objects.exists()


def test_unneeded_help_ends_before_the_encoder_is_loaded(
    dataset: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_if_loaded(*_arguments: Any) -> Any:
        raise AssertionError("the encoder was loaded for nothing")

    monkeypatch.setattr(encode, "encoder_for", fail_if_loaded)
    job = enqueue(kind=Kind.ENCODE, dataset=dataset)
    assert encode.help_with("00000000-0000-0000-0000-000000000000", 1) == 0
    assert encode.help_with(str(job.pk), 1) == 0, "the job is still queued, so an idle worker should claim it"
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
