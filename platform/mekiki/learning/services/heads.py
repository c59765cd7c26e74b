"""Heads, their predictions, which one is in use, and how good it is."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from django.db import connection, transaction
from django.db.models import Max
from numpy.typing import ArrayLike

from mekiki.audit.services import record
from mekiki.datasets.models import Dataset
from mekiki.labeling.models import PromptSet
from mekiki.learning import reasons
from mekiki.learning.binary import FLOAT8, INT8, blank_rows, copy_in
from mekiki.learning.models import (
    Champion,
    Encoder,
    Evaluation,
    Head,
    HeadTrainingLabel,
    Prediction,
    TrainingRun,
)


def next_version(dataset: Dataset) -> int:
    """The version the next head will have. Heads of a dataset are made one at a time (workers.locks)."""
    return (Head.objects.filter(dataset=dataset).aggregate(last=Max("version"))["last"] or 0) + 1


def seed_for(dataset: Dataset, *parts: object) -> int:
    """A number in [0, 2³¹) from the dataset's own seed and anything that names the use."""
    text = ":".join([dataset.seed, *map(str, parts)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


def decisions_digest(rows: Iterable[tuple[str, str, int]]) -> str:
    """SHA-256 over the sorted lines "image sha256 TAB label name TAB decision id" of a training set."""
    lines = sorted(f"{sha256}\t{name}\t{decision_id}\n" for sha256, name, decision_id in rows)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@transaction.atomic
def record_head(
    *,
    dataset: Dataset,
    kind: str,
    encoder: Encoder,
    prompt_set: PromptSet,
    label_ids: Sequence[int],
    weights: bytes,
    calibrated: bool,
    seed: int,
    code_version: str,
    metrics: dict[str, Any],
    training: Sequence[tuple[int, int, int]] = (),
    training_digest: str = "",
    run: TrainingRun | None = None,
    user: Any = None,
) -> Head:
    """Store a trained head and what it was trained on, as the dataset's next version.

    weights: the safetensors bytes; their SHA-256 is the head's digest. training: (image id, label id,
    decision id). run: marked as having produced this head, in the same transaction, so that a retry after
    a crash goes on with it.
    """
    Dataset.objects.select_for_update(no_key=True).only("pk").get(pk=dataset.pk)
    head = Head.objects.create(
        dataset=dataset,
        version=next_version(dataset),
        kind=kind,
        encoder=encoder,
        prompt_set=prompt_set,
        label_ids=list(label_ids),
        weights=weights,
        digest=hashlib.sha256(weights).hexdigest(),
        calibrated=calibrated,
        n_labels=len(training),
        decisions_digest=training_digest,
        seed=seed,
        code_version=code_version,
        metrics=metrics,
    )
    HeadTrainingLabel.objects.bulk_create(
        [
            HeadTrainingLabel(head_id=head.pk, image_id=image, label_id=label, decision_id=decision)
            for image, label, decision in training
        ],
        batch_size=5000,
    )
    if run is not None:
        run.head = head
        run.save(update_fields=["head"])
    record(
        kind="head.trained",
        actor=user,
        dataset=dataset,
        target=head,
        data={
            "version": head.version,
            "kind": head.kind,
            "digest": head.digest,
            "encoder": encoder.name,
            "encoder_digest": encoder.digest,
            "prompt_set": prompt_set.version,
            "labels": head.n_labels,
            "decisions_digest": head.decisions_digest,
            "code_version": code_version,
        },
    )
    return head


@transaction.atomic
def store_predictions(
    *,
    head: Head,
    image_ids: ArrayLike,
    label_ids: ArrayLike,
    runner_up_ids: ArrayLike | None,
    confidence: ArrayLike,
    margin: ArrayLike,
    entropy: ArrayLike,
) -> int:
    """Keep a head's answers; those that exist stay. Returns how many are new.

    All (n,). runner_up_ids: None where the head knows a single label.
    """
    ids = np.asarray(image_ids, np.int64)
    columns: dict[str, Any] = {"image_id": ids, "label_id": np.asarray(label_ids, np.int64)}
    if runner_up_ids is not None:
        columns["runner_up_id"] = np.asarray(runner_up_ids, np.int64)
    numbers = {"confidence": confidence, "margin": margin, "entropy": entropy}
    columns |= {name: np.asarray(values, np.float64) for name, values in numbers.items()}
    if any(values.shape != ids.shape for values in columns.values()) or ids.ndim != 1:
        raise ValueError("predictions must be arrays of one length")
    if not len(ids):
        return 0
    rows = blank_rows(
        len(ids), {name: FLOAT8 if v.dtype.kind == "f" else INT8 for name, v in columns.items()}
    )
    for name, values in columns.items():
        rows[name] = values
    names = ", ".join(columns)
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMP TABLE incoming_prediction (image_id bigint, label_id bigint, runner_up_id bigint, "
            "confidence float8, margin float8, entropy float8) ON COMMIT DROP"
        )
        copy_in("incoming_prediction", list(columns), rows)
        cursor.execute(
            f"INSERT INTO learning_prediction (head_id, {names}) "  # noqa: S608 (our own column names)
            f"SELECT %s, {', '.join(f'n.{name}' for name in columns)} FROM incoming_prediction n "
            "JOIN datasets_image i ON i.id = n.image_id ON CONFLICT DO NOTHING",
            [head.pk],
        )
        stored = cursor.rowcount
        cursor.execute("DROP TABLE incoming_prediction")
    return stored


@transaction.atomic
def promote(*, head: Head, reason: dict[str, Any] | str, user: Any = None) -> None:
    """Put a head in use. Its predictions are stored before: readers see the old head's or the new one's."""
    Dataset.objects.select_for_update(no_key=True).only("pk").get(pk=head.dataset_id)
    before = Champion.objects.filter(dataset_id=head.dataset_id).select_related("head").first()
    if before is not None and before.head_id == head.pk:
        return
    why = reasons.parse(reason) if isinstance(reason, str) else reason
    Champion.objects.update_or_create(dataset_id=head.dataset_id, defaults={"head": head, "reason": why})
    record(
        kind="head.promoted",
        actor=user,
        dataset=head.dataset,
        target=head,
        data={
            "version": head.version,
            "digest": head.digest,
            "replaced": before.head.version if before is not None else None,
            "reason": why,
        },
    )


def drop_replaced_predictions(dataset: Dataset) -> int:
    """Delete the predictions of every head of the dataset but the one in use. Returns how many."""
    champion = Champion.objects.filter(dataset=dataset).first()
    if champion is None:
        return 0
    stale = Prediction.objects.filter(head__dataset=dataset).exclude(head_id=champion.head_id)
    # One statement: nothing refers to a prediction, so Django need not load them first.
    return stale._raw_delete(stale.db)


@transaction.atomic
def record_evaluation(
    *, head: Head, n: int, correct: int, low: float, high: float, answers: int, report: dict[str, Any]
) -> Evaluation:
    """Keep an estimate of a head's accuracy. Asked again with the same counts, the newest one stays."""
    newest = Evaluation.objects.filter(head=head).order_by("-id").first()
    if newest is not None and (newest.n, newest.correct, newest.answers) == (n, correct, answers):
        return newest
    return Evaluation.objects.create(
        head=head, n=n, correct=correct, low=low, high=high, answers=answers, report=report
    )
