"""Embeddings, heads and predictions are stored once, exactly as given, and never changed."""

import hashlib
from typing import Any

import numpy as np
import pytest
from django.core.exceptions import ValidationError
from django.db import DatabaseError, connection, transaction

from mekiki.audit.models import Event
from mekiki.jobs.models import Job, State
from mekiki.labeling.selectors import active_labels
from mekiki.labeling.services import set_schema
from mekiki.learning import selectors, services
from mekiki.learning.models import Embedding, Head, Prediction, TrainingRun
from mekiki.learning.reports import EvaluationReport, HeadMetrics
from mekiki.learning.vectors import embedding_changes, predicted_image_ids, read_embeddings
from tests.factories import (
    ChampionFactory,
    ConfirmedLabelFactory,
    DatasetFactory,
    EncoderFactory,
    EvaluationFactory,
    HeadFactory,
    ImageFactory,
    JobFactory,
    LabelFactory,
    PromptSetFactory,
    TrainingRunFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db


def units(n: int, dim: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((n, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def read_all(encoder: Any, dataset: Any, after: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    parts = list(read_embeddings(encoder=encoder, dataset=dataset, after=after))
    return tuple(np.concatenate(arrays) for arrays in zip(*parts))  # type: ignore[return-value]


def test_stored_embeddings_are_read_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    # Small chunks: rows are split across the blocks that the server sends.
    monkeypatch.setattr("mekiki.learning.binary.CHUNK", 700)
    encoder, dataset = EncoderFactory(dim=48), DatasetFactory()
    images = [ImageFactory(dataset=dataset, audit_key=n / 100) for n in range(50)]
    ids, vectors = [image.pk for image in images], units(50, 48)
    assert services.store_embeddings(encoder=encoder, image_ids=ids[::-1], vectors=vectors[::-1]) == 50
    read_ids, keys, read_vectors = read_all(encoder, dataset)
    assert read_ids.tolist() == ids
    assert np.allclose(keys, np.arange(50) / 100)
    assert np.array_equal(read_vectors, vectors.astype(np.float16))
    with connection.cursor() as cursor:  # and PostgreSQL itself reads them as vectors
        cursor.execute("SELECT l2_norm(vector) FROM learning_embedding WHERE image_id = %s", [ids[7]])
        assert abs(cursor.fetchone()[0] - 1) < 1e-3
    changes = embedding_changes(encoder=encoder, dataset=dataset)
    assert (changes.low.tolist(), changes.high.tolist(), changes.rows) == ([ids[0]], [ids[-1]], 50)
    assert selectors.embedded_count(encoder=encoder, dataset=dataset) == 50
    assert read_all(encoder, dataset, after=ids[39])[0].tolist() == ids[40:]


def test_an_embedding_is_stored_once_and_only_of_an_image() -> None:
    encoder, image = EncoderFactory(dim=3), ImageFactory()
    first, second = units(1, 3, seed=1), units(1, 3, seed=2)
    assert services.store_embeddings(encoder=encoder, image_ids=[image.pk], vectors=first) == 1
    assert (
        services.store_embeddings(
            encoder=encoder, image_ids=[image.pk, 10**12], vectors=np.vstack([second, second])
        )
        == 0
    )
    assert np.allclose(np.asarray(Embedding.objects.get().vector), first[0].astype(np.float16), atol=1e-3)
    with pytest.raises(ValueError, match="finite"):
        services.store_embeddings(encoder=encoder, image_ids=[image.pk], vectors=[[np.nan, 0, 0]])
    with pytest.raises(ValueError, match=r"\(1, 3\)"):
        services.store_embeddings(encoder=encoder, image_ids=[image.pk], vectors=units(1, 4))


def test_an_encoder_with_the_same_weights_cannot_change_its_dimension() -> None:
    facts = {"name": "e", "digest": "0" * 64, "precision": "fp32", "logit_scale": 100.0}
    encoder = services.register_encoder(**facts, dim=8)
    assert services.register_encoder(**facts, dim=8).pk == encoder.pk
    with pytest.raises(ValidationError):
        services.register_encoder(**facts, dim=9)


@pytest.fixture
def labelled() -> tuple[Any, list[Any], Any]:
    dataset = DatasetFactory()
    labels = [LabelFactory(dataset=dataset) for _ in range(3)]
    return dataset, labels, HeadFactory(dataset=dataset)


def store(
    head: Any, images: list[Any], labels: list[Any], confidence: float, has_runner_up: bool = True
) -> int:
    n = len(images)
    return services.store_predictions(
        head=head,
        image_ids=[image.pk for image in images],
        label_ids=[labels[i % 3].pk for i in range(n)],
        runner_up_ids=[labels[(i + 1) % 3].pk for i in range(n)] if has_runner_up else None,
        confidence=np.full(n, confidence, np.float32),
        margin=np.full(n, 0.25),
        entropy=np.full(n, 0.5),
    )


def test_predictions_by_copy_are_exact_and_safe_to_repeat(labelled: Any) -> None:
    dataset, labels, head = labelled
    images = [ImageFactory(dataset=dataset) for _ in range(7)]
    assert store(head, images[:5], labels, 0.75) == 5
    assert store(head, images, labels, 0.1) == 2, "stored predictions stay"
    rows = {p.image_id: p for p in Prediction.objects.filter(head=head)}
    assert len(rows) == 7
    third = rows[images[2].pk]
    assert (third.label_id, third.runner_up_id, third.confidence, third.margin, third.entropy) == (
        labels[2].pk,
        labels[0].pk,
        0.75,
        0.25,
        0.5,
    )
    assert rows[images[6].pk].confidence == pytest.approx(0.1)
    assert predicted_image_ids(head).tolist() == sorted(rows)


def test_a_single_label_has_no_runner_up(labelled: Any) -> None:
    dataset, labels, head = labelled
    store(head, [ImageFactory(dataset=dataset)], labels, 1.0, has_runner_up=False)
    assert Prediction.objects.get().runner_up is None


def test_promotion_switches_at_once_and_drops_replaced_predictions(labelled: Any) -> None:
    dataset, labels, head = labelled
    other = HeadFactory(dataset=dataset)
    elsewhere = HeadFactory()
    image = ImageFactory(dataset=dataset)
    for row in (head, other):
        store(row, [image], labels, 0.5)
    services.store_predictions(
        head=elsewhere,
        image_ids=[ImageFactory(dataset=elsewhere.dataset).pk],
        label_ids=[LabelFactory(dataset=elsewhere.dataset).pk],
        runner_up_ids=None,
        confidence=[1.0],
        margin=[1.0],
        entropy=[0.0],
    )
    services.promote(head=head, reason={"code": "first_head"})
    services.promote(head=other, reason={"code": "better_than_prompts"})
    services.promote(head=other, reason={"code": "better_than_prompts"})
    champion = selectors.champion(dataset)
    assert champion is not None and champion.pk == other.pk
    events = Event.objects.filter(kind="head.promoted", dataset_id=dataset.pk).order_by("id")
    assert [e.data["replaced"] for e in events] == [None, head.version]
    assert services.drop_replaced_predictions(dataset) == 1
    assert set(Prediction.objects.values_list("head_id", flat=True)) == {other.pk, elsewhere.pk}


def test_a_head_is_immutable_and_carries_its_lineage() -> None:
    dataset = DatasetFactory()
    label = LabelFactory(dataset=dataset)
    image = ImageFactory(dataset=dataset)
    head = services.record_head(
        dataset=dataset,
        kind=Head.Kind.LOGISTIC,
        encoder=EncoderFactory(),
        prompt_set=PromptSetFactory(dataset=dataset),
        label_ids=[label.pk],
        weights=b"bytes of a head",
        calibrated=True,
        seed=5,
        code_version="1",
        metrics=HeadMetrics(),
        training=[(image.pk, label.pk, 77)],
        training_digest=services.decisions_digest([(image.sha256, label.name, 77)]),
    )
    assert head.version == 1 and head.digest == hashlib.sha256(b"bytes of a head").hexdigest()
    assert head.n_labels == 1 and head.training_labels.get().decision_id == 77
    assert selectors.label_counts(head) == {label.pk: 1}
    for change in ({"digest": "0" * 64}, {"weights": b"other"}, {"n_labels": 9}):
        with pytest.raises(DatabaseError), transaction.atomic():
            Head.objects.filter(pk=head.pk).update(**change)


def test_the_digest_of_decisions_ignores_order_and_notices_any_change() -> None:
    rows = [("a" * 64, "good", 1), ("b" * 64, "傷", 2)]
    digest = services.decisions_digest(rows)
    assert digest == services.decisions_digest(rows[::-1])
    assert digest != services.decisions_digest([rows[0], ("b" * 64, "傷", 3)])
    assert digest != services.decisions_digest([rows[0], ("b" * 64, "good", 2)])


def test_seeds_differ_by_use_and_dataset_and_repeat() -> None:
    one, two = DatasetFactory(), DatasetFactory()
    assert services.seed_for(one, "head", 1) == services.seed_for(one, "head", 1)
    assert len({services.seed_for(d, "head", v) for d in (one, two) for v in range(5)}) == 10


def test_training_is_requested_once_until_it_ran() -> None:
    user = UserFactory()
    dataset = DatasetFactory(admin=user)
    with pytest.raises(ValidationError) as refused:
        services.request_training(dataset=dataset, trigger=TrainingRun.Trigger.BUTTON, user=user)
    assert refused.value.code == "no_labels"
    assert not Job.objects.exists() and not TrainingRun.objects.exists()
    set_schema(dataset=dataset, labels=[{"name": "good", "prompts": ["good"]}], user=user)
    ConfirmedLabelFactory(dataset=dataset, label=active_labels(dataset).get())
    first = services.request_training(dataset=dataset, trigger=TrainingRun.Trigger.BUTTON, user=user)
    again = services.request_training(dataset=dataset, trigger=TrainingRun.Trigger.SCHEDULE)
    assert again.pk == first.pk and first.trigger == "button" and first.created_by == user
    Job.objects.filter(pk=first.job_id).update(state=State.SUCCEEDED)
    third = services.request_training(dataset=dataset, trigger=TrainingRun.Trigger.SCHEDULE)
    assert third.pk != first.pk and third.trigger == "schedule"
    # A job that the platform itself requested again has a run too.
    job = JobFactory(dataset=dataset, kind="train", payload={"trigger": "count"})
    assert services.get_or_create_run(job).trigger == "count"
    assert services.get_or_create_run(job).pk == services.get_or_create_run(job).pk


def test_equal_estimates_are_stored_once_and_the_newest_is_used() -> None:
    head = HeadFactory()
    ChampionFactory(head=head)
    facts: dict[str, Any] = {"low": 0.5, "high": 0.9, "report": EvaluationReport()}
    first = services.record_evaluation(head=head, n=10, correct=8, answers=50, **facts)
    assert services.record_evaluation(head=head, n=10, correct=8, answers=50, **facts).pk == first.pk
    second = services.record_evaluation(head=head, n=12, correct=9, answers=60, **facts)
    EvaluationFactory()
    refused = HeadFactory(dataset=head.dataset)
    TrainingRunFactory(dataset=head.dataset, head=refused, promoted=False)
    EvaluationFactory(head=refused, answers=70)
    assert selectors.latest_evaluation(head.dataset) == second
    curve = selectors.learning_curve(head.dataset)
    assert [e.answers for e in curve] == [50, 60]
    assert all("report" in e.get_deferred_fields() for e in curve), "a report is as large as labels × labels"
