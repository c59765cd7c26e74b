"""Search among embeddings: exact against approximate neighbours, the index, and texts with limits."""

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mekiki.datasets.models import Image
from mekiki.jobs.models import Job, Kind, State
from mekiki.jobs.services import CancelledError
from mekiki.learning.models import Embedding, Encoder, TextEmbedding
from mekiki.learning.search import (
    Problem,
    building,
    find_text_vector,
    index,
    maintain_search,
    nearest_images,
    neighbours,
    serving_encoder,
    texts,
)
from mekiki.learning.search import keeper as index_keeper
from mekiki.learning.search.keeper import BuildError, NoKeeperError
from mekiki.learning.services import store_embeddings
from tests.factories import ChampionFactory, DatasetFactory, EncoderFactory, HeadFactory, UserFactory
from tests.roles import as_owner
from tests.vectors import DIM, add_images, embedded, unit
from tests.waiting import until
from workers.runner import run_job


def exact_neighbours(ids: np.ndarray, vectors: np.ndarray, query: np.ndarray, limit: int) -> list[int]:
    scores = vectors @ query.astype(np.float16).astype(np.float64)
    return ids[np.lexsort((ids, -scores))][:limit].tolist()


@pytest.mark.django_db
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(n=st.integers(1, 60), limit=st.integers(1, 20), seed=st.integers(0, 10_000))
def test_few_images_are_searched_exactly(n: int, limit: int, seed: int) -> None:
    with transaction.atomic():
        dataset, encoder, ids, vectors = embedded(n, seed=seed)
        query = unit(np.random.default_rng(seed + 1).standard_normal(DIM))
        result = nearest_images(
            encoder=encoder, vector=query, images=Image.objects.filter(dataset=dataset), limit=limit
        )
        assert result.exact
        similarities = [similarity for _pk, similarity in result.hits]
        assert similarities == sorted(similarities, reverse=True)
        scores = dict(zip(ids.tolist(), vectors @ query.astype(np.float16).astype(np.float64), strict=True))
        expected = sorted(scores.values(), reverse=True)[:limit]
        assert np.allclose(similarities, expected, atol=1e-3)
        assert all(abs(scores[pk] - similarity) < 1e-3 for pk, similarity in result.hits)
        transaction.set_rollback(True)


@pytest.mark.django_db
def test_search_orders_equal_distances_by_id_and_refuses_invalid_queries() -> None:
    dataset, encoder = DatasetFactory(), EncoderFactory(dim=DIM)
    ids = add_images(dataset, 5)
    store_embeddings(encoder=encoder, image_ids=ids, vectors=np.tile(np.eye(DIM)[0], (5, 1)))
    images = Image.objects.filter(dataset=dataset)
    result = nearest_images(encoder=encoder, vector=np.eye(DIM)[0], images=images, limit=3)
    assert [pk for pk, _s in result.hits] == ids[:3] and result.hits[0][1] == pytest.approx(1)
    assert nearest_images(encoder=encoder, vector=np.eye(DIM)[0], images=images.none()).hits == []
    for wrong in (np.ones(DIM + 1), np.full(DIM, np.nan), np.ones((1, DIM))):
        with pytest.raises(ValueError, match="finite vector"):
            nearest_images(encoder=encoder, vector=wrong, images=images)


@pytest.fixture
def many_images(monkeypatch: pytest.MonkeyPatch, index_builder: None) -> Iterator[Any]:
    """Create 3,000 images where 200 already count as many, and build the index."""
    monkeypatch.setattr(neighbours, "EXACT_UP_TO", 200)
    dataset, encoder, ids, vectors = embedded(3000)
    assert index.build(encoder)
    yield dataset, encoder, ids, vectors
    index.drop(encoder.pk)


@pytest.mark.django_db(transaction=True)
def test_many_images_are_searched_by_the_index(many_images: Any) -> None:
    dataset, encoder, ids, vectors = many_images
    images = Image.objects.filter(dataset=dataset)
    recalls = []
    for seed in range(10):
        query = unit(np.random.default_rng(100 + seed).standard_normal(DIM))
        result = nearest_images(encoder=encoder, vector=query, images=images, limit=50)
        assert not result.exact and len(result.hits) == 50
        recalls.append(
            len({pk for pk, _s in result.hits} & set(exact_neighbours(ids, vectors, query, 50))) / 50
        )
    assert np.mean(recalls) > 0.95
    with CaptureQueriesContext(connection) as queries:
        nearest_images(encoder=encoder, vector=query, images=images, limit=50)
    statement = next(q["sql"] for q in queries if "<#>" in q["sql"])
    settings_ = next(q["sql"] for q in queries if "iterative_scan" in q["sql"])
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(settings_)
        cursor.execute("EXPLAIN " + statement)
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert index.index_name(encoder.pk) in plan, plan


@pytest.mark.django_db(transaction=True)
def test_filters_with_few_near_images_return_all_matches(
    many_images: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small dataset among many images, and a filter whose images all lie on the far side of the graph."""
    _dataset, encoder, ids, vectors = many_images
    small, _encoder, few_ids, few_vectors = embedded(20, seed=5, encoder=encoder)
    query = unit(np.random.default_rng(9).standard_normal(DIM))
    result = nearest_images(
        encoder=encoder, vector=query, images=Image.objects.filter(dataset=small), limit=10
    )
    assert result.exact and [pk for pk, _s in result.hits] == exact_neighbours(
        few_ids, few_vectors, query, 10
    )
    far = ids[np.argsort(vectors @ query)[:1000]]
    # The search leaves the graph before it reaches the far side.
    monkeypatch.setattr(neighbours, "SCAN_TUPLES", 100)
    monkeypatch.setattr(neighbours, "EF_SEARCH", 20)
    of_far = Image.objects.filter(pk__in=far.tolist())
    result = nearest_images(encoder=encoder, vector=query, images=of_far, limit=10)
    assert result.exact
    keep = np.isin(ids, far)
    assert [pk for pk, _s in result.hits] == exact_neighbours(ids[keep], vectors[keep], query, 10)


@pytest.mark.django_db(transaction=True)
def test_indexes_are_separate_per_encoder(index_builder: None) -> None:
    dataset, first, _ids, _vectors = embedded(50, dim=8)
    second = EncoderFactory(dim=16)
    store_embeddings(
        encoder=second,
        image_ids=list(Image.objects.filter(dataset=dataset).values_list("pk", flat=True)),
        vectors=unit(np.random.default_rng(1).standard_normal((50, 16))),
    )
    assert index.build(first) and index.build(second)
    assert not index.build(first)  # the index exists
    assert {pk: state.valid for pk, state in index.index_states().items()} == {
        first.pk: True,
        second.pk: True,
    }
    Embedding.objects.filter(encoder=first).delete()
    assert maintain_search()["dropped"] == 2  # the other dataset has too few images for an index
    assert index.index_states() == {}


@pytest.mark.django_db(transaction=True)
def test_stopped_build_leaves_no_index_and_killed_build_is_repeated(index_builder: None) -> None:
    _dataset, encoder, _ids, _vectors = embedded(4000, dim=64)

    def stop(done: int, total: int) -> None:
        if index.index_states():  # the index builder has started
            raise CancelledError

    with index._own_session() as watcher, index._own_session() as writer, writer.transaction():
        # A build waits for writers, so it cannot end before it is stopped.
        writer.execute("LOCK TABLE learning_embedding IN ROW EXCLUSIVE MODE")
        with pytest.raises(CancelledError):
            index.build(encoder, report=stop)
        until(lambda: building.build_progress(watcher, encoder.pk, 4000) is None)
    until(lambda: index.index_states() == {})

    def kill(done: int, total: int) -> None:
        with as_owner(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_progress_create_index")

    with pytest.raises(Exception, match=r"terminat|closed|connection"):
        while True:
            index.build(encoder, report=kill)
            index.drop(encoder.pk)
    state = index.index_states().get(encoder.pk)
    assert state is None or not state.valid
    assert not index.is_searchable(encoder)
    assert index.build(encoder) and index.is_searchable(encoder)
    index.drop(encoder.pk)


@pytest.mark.django_db(transaction=True)
def test_stop_after_the_last_step_removes_the_index(index_builder: None) -> None:
    _dataset, encoder, _ids, _vectors = embedded(50)

    def stop_late(done: int, total: int) -> None:
        # Another job requests the index too, so that it is finished before this job stops.
        with index._own_session() as other:
            other.execute("SELECT pg_notify(%s, %s)", [index_keeper.REQUEST_CHANNEL, f"build {encoder.pk}"])
        until(lambda: index.is_searchable(encoder))
        raise CancelledError

    with pytest.raises(CancelledError):
        index.build(encoder, report=stop_late)
    until(lambda: index.index_states() == {})


@pytest.mark.django_db(transaction=True)
def test_job_without_an_index_builder_fails_with_translated_errors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(index_keeper, "ABSENT_SECONDS", 0.2)
    _dataset, encoder, _ids, _vectors = embedded(5)
    job = Job.objects.create(kind=Kind.INDEX, key="index", payload={"encoder": encoder.pk})
    assert run_job(str(job.pk)) == "failed"
    job.refresh_from_db()
    assert "DATABASE_OWNER_URL" in job.error_texts["en"] and "NoKeeperError" not in job.error_texts["en"]
    assert "DATABASE_OWNER_URL" in job.error_texts["ja"] and "インデックス" in job.error_texts["ja"]


@pytest.mark.django_db(transaction=True)
def test_two_builds_at_once_create_one_index(index_builder: None) -> None:
    _dataset, encoder, _ids, _vectors = embedded(3000, dim=64)
    results: list[Any] = []

    def build() -> None:
        try:
            results.append(index.build(encoder))
        except Exception as error:
            results.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=build) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert True in results and all(isinstance(result, bool) for result in results), results
    assert index.is_searchable(encoder)
    index.drop(encoder.pk)


@pytest.mark.django_db(transaction=True)
def test_build_without_an_index_builder_fails_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_keeper, "ABSENT_SECONDS", 0.2)
    _dataset, encoder, _ids, _vectors = embedded(5)
    with pytest.raises(NoKeeperError, match="database-roles"):
        index.build(encoder)


@pytest.mark.django_db(transaction=True)
def test_build_that_fails_in_the_database_ends_with_the_reason(index_builder: None) -> None:
    _dataset, encoder, _ids, _vectors = embedded(5, dim=8)
    with as_owner(triggers=False):
        Encoder.objects.filter(pk=encoder.pk).update(dim=9)  # the stored vectors have 8 dimensions
    with pytest.raises(BuildError, match="9 dimensions"):
        index.build(encoder)
    assert index.index_states() == {}


@pytest.mark.django_db(transaction=True)
def test_owner_builds_without_an_index_builder() -> None:
    _dataset, encoder, _ids, _vectors = embedded(50)
    with as_owner():
        index_sessions = connection.get_connection_params() | {"options": "-c role=mekiki"}
        connection.get_connection_params = lambda: index_sessions  # type: ignore[method-assign]
        try:
            assert index.build(encoder) and not index.build(encoder)
        finally:
            del connection.get_connection_params
    assert index.drop(encoder.pk) and index.index_states() == {}


@pytest.mark.parametrize(
    "text", ["", "build", "build x", "build -1", "build 1; DROP TABLE x", "drop 1", "build ³"]
)
def test_messages_without_a_build_are_ignored(text: str) -> None:
    assert index_keeper._read(text) == ("", 0)


@pytest.mark.django_db
def test_memory_of_a_build_is_limited(settings: Any) -> None:
    settings.INDEX_MEMORY_MB = 500
    assert building.build_memory_mb(1000, 512, local=True) < 100
    assert building.build_memory_mb(10_000_000, 512, local=True) <= 500


@pytest.mark.django_db(transaction=True)
def test_index_is_requested_once_and_not_during_embedding(
    monkeypatch: pytest.MonkeyPatch, index_builder: None
) -> None:
    monkeypatch.setattr(index, "EXACT_UP_TO", 10)
    monkeypatch.setattr(index.has_more_embeddings_than, "__defaults__", (10,))
    dataset, encoder, _ids, _vectors = embedded(30)
    dataset.encoder_name = encoder.name
    dataset.save()
    embedding = Job.objects.create(kind=Kind.ENCODE, dataset=dataset, key="encode", state=State.RUNNING)
    assert maintain_search()["asked"] == 0
    embedding.state = State.SUCCEEDED
    embedding.save()
    assert maintain_search()["asked"] == 1
    assert maintain_search()["asked"] == 0
    job = Job.objects.get(kind=Kind.INDEX)
    assert job.dataset == dataset and job.payload == {"encoder": encoder.pk}
    from workers.runner import run_job

    assert run_job(str(job.pk)) == "succeeded"
    assert index.is_searchable(encoder) and maintain_search()["asked"] == 0
    # More embeddings are added to the index. A big import is embedded without it and indexed afterwards.
    more = Job.objects.create(
        kind=Kind.ENCODE, dataset=dataset, key="e", state=State.RUNNING, total=102, done=100
    )
    more.stage = "computing embeddings"
    more.save()
    assert maintain_search()["dropped"] == 0
    more.total, more.stage = 200, "storing predictions"
    more.save()
    assert maintain_search()["dropped"] == 0, "counts of other stages are no images to embed"
    more.stage = "computing embeddings"
    more.save()
    assert maintain_search() == {"asked": 0, "dropped": 1, "forgotten": 0} and not index.is_searchable(
        encoder
    )
    more.delete()
    Job.objects.update(state=State.FAILED, finished_at=timezone.now())
    assert maintain_search()["asked"] == 0  # not every minute
    Job.objects.update(finished_at=timezone.now() - timedelta(hours=2))
    assert maintain_search()["asked"] == 1


@pytest.fixture
def sent_ids(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    row_ids: list[int] = []

    def send(name: str, args: list[int], queue: str) -> bool:
        assert (name, queue) == (texts.TASK, "interactive")
        row_ids.append(args[0])
        return True

    monkeypatch.setattr(texts.broker, "send", send)
    return row_ids


@pytest.mark.django_db(transaction=True)
def test_text_is_embedded_once_and_stored(sent_ids: list[int]) -> None:
    encoder, user = EncoderFactory(dim=DIM), UserFactory()
    assert find_text_vector(encoder=encoder, text="  a  scratch ", user=user).waiting
    assert find_text_vector(encoder=encoder, text="a scratch", user=UserFactory()).waiting
    row = TextEmbedding.objects.get()
    assert sent_ids == [row.pk] and row.text == "a scratch"
    # The message was lost. The waiting page sends it again once.
    TextEmbedding.objects.update(asked_at=timezone.now() - timedelta(seconds=6))
    find_text_vector(encoder=encoder, text="a scratch", user=user)
    find_text_vector(encoder=encoder, text="a scratch", user=user)
    assert sent_ids == [row.pk] * 2
    texts.record_vector(row=row, vector=np.eye(DIM)[1])
    result = find_text_vector(encoder=encoder, text="a scratch", user=user)
    assert result.vector is not None and result.vector.tolist() == np.eye(DIM)[1].tolist()
    assert sent_ids == [row.pk] * 2
    assert find_text_vector(
        encoder=EncoderFactory(dim=DIM), text="a scratch", user=user
    ).waiting  # another encoder embeds the text again


@pytest.mark.django_db(transaction=True)
def test_search_waits_for_the_worker(sent_ids: list[int]) -> None:
    encoder = EncoderFactory(dim=DIM)

    def answer() -> None:
        while not sent_ids:
            time.sleep(0.01)
        time.sleep(0.2)
        texts.record_vector(row=TextEmbedding.objects.get(), vector=np.eye(DIM)[0])
        connection.close()

    thread = threading.Thread(target=answer)
    thread.start()
    start = time.monotonic()
    assert find_text_vector(encoder=encoder, text="傷", user=UserFactory(), wait=600).vector is not None
    assert time.monotonic() - start < 300
    thread.join()
    start = time.monotonic()
    assert find_text_vector(encoder=encoder, text="穴", user=UserFactory(), wait=0.3).waiting
    assert time.monotonic() - start > 0.25


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", Problem.EMPTY),
        (" \x00\u200b\n", Problem.EMPTY),
        ("x" * 201, Problem.LONG),
        ("傷" * 10_000_000, Problem.LONG),
        ("\x00" * 10_000_000, Problem.LONG),
        ("'; DROP TABLE learning_textembedding; --", None),
        ("%s %(x)s {0} \\", None),
        ("🔩👩‍🔧" * 20, None),
        ("\ud800scratch", None),
        ("x" * 200, None),
    ],
)
def test_typed_text_is_embedded_or_refused_with_a_message(
    sent_ids: list[int], text: str, problem: Problem | None
) -> None:
    result = find_text_vector(encoder=EncoderFactory(dim=DIM), text=text, user=UserFactory())
    assert result.problem == problem
    assert bool(result.sentence()) == (problem is not None)
    assert result.waiting == (problem is None) and len(sent_ids) == (problem is None)
    assert len(result.text) <= 200


@pytest.mark.django_db(transaction=True)
def test_permanent_problems_are_stored_and_temporary_ones_retried(sent_ids: list[int]) -> None:
    encoder, user = EncoderFactory(dim=DIM), UserFactory()

    def ask_again() -> texts.TextVectorResult:
        return find_text_vector(encoder=encoder, text="t", user=user)

    ask_again()
    row = TextEmbedding.objects.get()
    texts.record_problem(row=row, problem=Problem.TOO_LONG, count=99, most=64)
    assert "99" in ask_again().sentence() and "64" in ask_again().sentence()
    TextEmbedding.objects.update(answered_at=timezone.now() - timedelta(hours=1))
    assert ask_again().problem == Problem.TOO_LONG and len(sent_ids) == 1
    TextEmbedding.objects.update(
        problem=Problem.NOT_LOADED, detail={"reason": "no file"}, answered_at=timezone.now()
    )
    assert "no file" in ask_again().sentence() and len(sent_ids) == 1
    TextEmbedding.objects.update(answered_at=timezone.now() - timedelta(minutes=1))
    assert ask_again().waiting and len(sent_ids) == 2
    # No worker answers: the page says so, and the text is requested again when a worker returns.
    TextEmbedding.objects.update(used_at=timezone.now() - timedelta(seconds=61))
    assert ask_again().problem == Problem.NO_WORKER
    TextEmbedding.objects.update(asked_at=timezone.now() - timedelta(minutes=5))
    assert ask_again().waiting and len(sent_ids) == 3


@pytest.mark.django_db(transaction=True)
def test_open_searches_are_limited_and_old_texts_are_deleted(
    sent_ids: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "MAX_PENDING_PER_USER", 3)
    monkeypatch.setattr(texts, "MAX_PENDING", 5)
    encoder, user, other = EncoderFactory(dim=DIM), UserFactory(), UserFactory()
    problems = [find_text_vector(encoder=encoder, text=f"t{n}", user=user).problem for n in range(5)]
    assert problems == [None] * 3 + [Problem.BUSY] * 2
    assert [find_text_vector(encoder=encoder, text=f"o{n}", user=other).problem for n in range(3)] == [
        None
    ] * 2 + [Problem.BUSY]
    for n, row in enumerate(TextEmbedding.objects.order_by("pk")):
        TextEmbedding.objects.filter(pk=row.pk).update(used_at=timezone.now() + timedelta(seconds=n))
    assert texts.delete_unused_texts(keep=2) == 3
    assert sorted(TextEmbedding.objects.values_list("text", flat=True)) == ["o0", "o1"]
    assert texts.delete_unused_texts(keep=2) == 0


@pytest.mark.django_db(transaction=True)
def test_broker_failure_is_reported_at_once(sent_ids: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, user = EncoderFactory(dim=DIM), UserFactory()
    with monkeypatch.context() as patch:
        patch.setattr(texts.broker, "send", lambda *_args, **_options: False)
        result = find_text_vector(encoder=encoder, text="t", user=user)
    assert result.problem == Problem.NOT_SENT and "cannot be reached now" in result.sentence()
    assert find_text_vector(encoder=encoder, text="t", user=user).waiting and len(sent_ids) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("hours", [-1, 1])
def test_texts_are_embedded_after_a_clock_change(sent_ids: list[int], hours: int) -> None:
    """Stored times lie an hour in the past or in the future.

    The next look sends the text, and the worker answers.
    """
    encoder, user = EncoderFactory(dim=DIM), UserFactory()
    find_text_vector(encoder=encoder, text="t", user=user)
    moment = timezone.now() + timedelta(hours=hours)
    TextEmbedding.objects.update(asked_at=moment, used_at=moment)
    find_text_vector(encoder=encoder, text="t", user=user)
    row = TextEmbedding.objects.get()
    assert len(sent_ids) == 2 and texts.waiting_text(row.pk) == row
    # A text that nobody has requested recently is skipped.
    TextEmbedding.objects.update(asked_at=timezone.now() - timedelta(minutes=3))
    assert texts.waiting_text(row.pk) is None


@pytest.mark.django_db
def test_search_uses_the_encoder_of_the_champion() -> None:
    dataset = DatasetFactory()
    assert serving_encoder(dataset) is None
    Encoder.objects.create(name="pocket", digest="9" * 64, dim=DIM, logit_scale=1)  # has embedded nothing
    assert serving_encoder(dataset) is None
    _dataset, chosen, _ids, _vectors = embedded(
        3, dataset=dataset, encoder=EncoderFactory(name="pocket", dim=DIM)
    )
    assert serving_encoder(dataset) == chosen
    other = EncoderFactory(dim=DIM)
    ChampionFactory(head=HeadFactory(dataset=dataset, encoder=other))
    assert serving_encoder(dataset) == other
