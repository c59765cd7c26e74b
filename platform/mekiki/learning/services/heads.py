"""Writes to heads, champions and evaluations."""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Max

from mekiki.accounts.models import User
from mekiki.audit.services import record
from mekiki.config import clock
from mekiki.datasets.models import Dataset
from mekiki.labeling.models import PromptSet
from mekiki.learning import reasons
from mekiki.learning.accuracy import COUNT_COLUMNS, AuditCounts
from mekiki.learning.hooks import run_promotion_hooks
from mekiki.learning.models import (
    Champion,
    Encoder,
    Evaluation,
    Head,
    HeadTrainingLabel,
    TrainingRun,
)
from mekiki.learning.pool_figure import PoolFigure
from mekiki.learning.reports import EvaluationReport, HeadMetrics
from mekiki.learning.selectors import champion


def next_version(dataset: Dataset) -> int:
    """Return the version of the next head. Heads of a dataset are created one at a time (workers.locks)."""
    return (Head.objects.filter(dataset=dataset).aggregate(last=Max("version"))["last"] or 0) + 1


def seed_for(dataset: Dataset, *parts: object) -> int:
    """Return a number in [0, 2³¹), derived from the dataset's seed and from parts that name the use."""
    text = ":".join([dataset.seed, *map(str, parts)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


def decisions_digest(rows: Iterable[tuple[str, str, int | str]]) -> str:
    """Return the digest of a training set of (image sha256, label name, decision id).

    It is the SHA-256 of the sorted lines "image sha256 TAB label name TAB decision id". An imported label has
    "imported" and its id instead of the id of a decision.
    """
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
    metrics: HeadMetrics,
    training: Sequence[tuple[int, int, int]] = (),
    others: Mapping[int, Sequence[int]] | None = None,
    imported: Collection[int] = (),
    near_groups: Mapping[int, int] | None = None,
    training_digest: str = "",
    detail: Encoder | None = None,
    run: TrainingRun | None = None,
    user: User | None = None,
) -> Head:
    """Store a trained head and its training set as the dataset's next version.

    weights: the safetensors bytes. Their SHA-256 is the head's digest.
    training: (image id, label id, decision id) of each training image.
    others: image id → other decisions about the image that the head was trained on.
    imported: ids of the images whose label came with the image. Their decision id is that of the imported
    label.
    near_groups: image id → first image of its near-duplicates, which shared a fold.
    detail: the detail descriptor whose vectors the head reads after the embedding.
    run: the run that trained this head. It is linked in the same transaction, so that a retry after a crash
    continues with this head. The head names the saved view whose images the run left out.
    """
    Dataset.objects.select_for_update(no_key=True).only("pk").get(pk=dataset.pk)
    head = Head.objects.create(
        dataset=dataset,
        version=next_version(dataset),
        kind=kind,
        encoder=encoder,
        detail=detail,
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
        without_view=run.without_view if run is not None else "",
        without_query=run.without_query if run is not None else "",
    )
    HeadTrainingLabel.objects.bulk_create(
        [
            HeadTrainingLabel(
                head_id=head.pk,
                image_id=image,
                label_id=label,
                decision_id=decision,
                others=list((others or {}).get(image, ())),
                imported=image in imported,
                near_group=(near_groups or {}).get(image),
            )
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
            "detail_digest": detail.digest if detail is not None else None,
            "prompt_set": prompt_set.version,
            "labels": head.n_labels,
            "imported_labels": len(imported),
            "decisions_digest": head.decisions_digest,
            "code_version": code_version,
            # Keys that older events do not have.
            **(
                {"without_view": head.without_view, "query": head.without_query} if head.without_query else {}
            ),
        },
    )
    return head


@transaction.atomic
def promote(*, head: Head, reason: dict[str, Any] | str, user: User | None = None) -> None:
    """Make a head the champion.

    The caller stores its predictions before. So readers see the predictions of the old head or of the new
    head.
    """
    Dataset.objects.select_for_update(no_key=True).only("pk").get(pk=head.dataset_id)
    before = champion(head.dataset)
    if before is not None and before.pk == head.pk:
        return
    why = reasons.parse(reason) if isinstance(reason, str) else reason
    Champion.objects.update_or_create(
        dataset_id=head.dataset_id, defaults={"head": head, "reason": why, "since": clock.now()}
    )
    record(
        kind="head.promoted",
        actor=user,
        dataset=head.dataset,
        target=head,
        data={
            "version": head.version,
            "digest": head.digest,
            "replaced": before.version if before is not None else None,
            "reason": why,
        },
    )
    run_promotion_hooks(head)


@transaction.atomic
def record_evaluation(
    *,
    head: Head,
    n: int,
    correct: int,
    low: float,
    high: float,
    answers: int,
    report: EvaluationReport,
    share: float | None = None,
    left_out: int = 0,
    counts: AuditCounts | None = None,
    near_trained: int = 0,
    near_trained_right: int = 0,
    pool: PoolFigure | None = None,
) -> Evaluation:
    """Store an estimate of a head's accuracy, and the figure of all images if there is one.

    share: the estimate, if it is not correct / n. left_out: number of images that the estimate does not
    cover.
    counts: the states of the images that were drawn for the audit. near_trained: images of n with
    near-duplicates that the head was trained on. near_trained_right: the correct ones of them.

    If the newest estimate has the same figures, it is returned and nothing is stored.
    """
    figures = {
        "n": n, "correct": correct, "share": share, "low": low, "high": high, "left_out": left_out,
        "answers": answers, "report": report,
        "near_trained": near_trained, "near_trained_right": near_trained_right,
        **{name: getattr(counts or AuditCounts(), name) for name in COUNT_COLUMNS},
        **(pool or PoolFigure()).columns,
    }  # fmt: skip
    newest = Evaluation.objects.filter(head=head).order_by("-id").first()
    if newest is not None and all(getattr(newest, name) == value for name, value in figures.items()):
        return newest
    return Evaluation.objects.create(head=head, **figures)
