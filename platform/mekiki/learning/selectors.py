"""Queries for heads, evaluations, schedules and encoder changes. Queries for arrays: vectors.py."""

from collections.abc import Iterable
from datetime import timedelta

from django.db.models import Count, QuerySet, Subquery, Sum
from django_celery_beat.models import PeriodicTask

from mekiki.config import clock
from mekiki.datasets.models import Dataset
from mekiki.jobs.models import Job, Kind, State
from mekiki.labeling.models import PromptSet
from mekiki.learning.accuracy import COUNT_COLUMNS
from mekiki.learning.models import (
    Champion,
    Embedding,
    EmbeddingChange,
    Encoder,
    EncoderChange,
    EncodingProblem,
    Evaluation,
    Head,
    HeadTrainingLabel,
    LongPrompt,
    TrainingRun,
    WorkerDifference,
    WorkerReport,
)

SCHEDULED_TASK = "workers.tasks.scheduled_training"


def champion(dataset: Dataset) -> Head | None:
    """Return the head in use without its weights, or None before the first prediction."""
    return (
        Head.objects.filter(champion__dataset=dataset)
        .select_related("encoder", "prompt_set")
        .defer("weights")
        .first()
    )


def has_champion(dataset: Dataset) -> bool:
    """Return whether the dataset has a head in use."""
    return Champion.objects.filter(dataset=dataset).exists()


def champion_since(dataset: Dataset) -> Champion | None:
    """Return the champion row, which has the time and the reason of the promotion."""
    return Champion.objects.filter(dataset=dataset).first()


def heads(dataset: Dataset) -> QuerySet[Head]:
    """Return all heads of the dataset, newest first, without their weights."""
    return (
        Head.objects.filter(dataset=dataset)
        .select_related("encoder", "prompt_set", "run")
        .defer("weights")
        .order_by("-version")
    )


def training_runs(dataset: Dataset) -> QuerySet[TrainingRun]:
    """Return all training runs of the dataset, newest first."""
    return (
        TrainingRun.objects.filter(dataset=dataset)
        .select_related("job", "created_by", "head", "dataset")
        .defer("head__weights")
        .order_by("-id")
    )


def latest_evaluation(dataset: Dataset) -> Evaluation | None:
    """Return the newest estimate of the champion's accuracy, or None before the first audited image."""
    return Evaluation.objects.filter(head__champion__dataset=dataset).order_by("-id").first()


def evaluation_of(head: Head) -> Evaluation | None:
    """Return the newest estimate of a head's accuracy, or None if there is none."""
    return Evaluation.objects.filter(head=head).order_by("-id").first()


def training_run_of(head: Head) -> TrainingRun | None:
    """Return the run that trained a head, or None for zero-shot heads and heads of an encoder change."""
    return getattr(head, "run", None)


def learning_curve(dataset: Dataset, until: Head | None = None) -> list[Evaluation]:
    """Return the accuracy estimates of the promoted heads, by ascending number of answers.

    For each number of answers only the newest estimate is kept.
    until: return only estimates that existed when this head was last evaluated (or created). The head's own
    estimates are included even if it was not promoted.
    """
    points: dict[int, Evaluation] = {}
    # Leave out the reports: each has labels × labels entries, and each refill of the queue adds one.
    evaluations = Evaluation.objects.filter(head__dataset=dataset).select_related("head")
    counts = (*COUNT_COLUMNS, "near_trained", "near_trained_right")
    figures = ("n", "correct", "share", "low", "high", "left_out", "answers", *counts)
    evaluations = evaluations.only(*figures, "head__version")
    # Challengers that were not promoted are evaluated too, but they appear only on their own pages.
    others = evaluations.exclude(head__run__promoted=False)
    if until is None:
        evaluations = others
    else:
        own = evaluation_of(until)
        moment = own.created_at if own is not None else until.created_at
        before = others.filter(head__version__lt=until.version, created_at__lte=moment)
        evaluations = before | evaluations.filter(head=until)
    for evaluation in evaluations.order_by("id"):
        points[evaluation.answers] = evaluation
    return [points[answers] for answers in sorted(points)]


def verification_key(head: Head) -> str:
    """Return the key of the jobs that repeat the training of this head."""
    return f"verify_head:{head.pk}"


def last_verification(head: Head) -> Job | None:
    """Return the last job that repeated the head's training and succeeded or failed, or None."""
    jobs = Job.objects.filter(dataset_id=head.dataset_id, kind=Kind.VERIFY_HEAD, key=verification_key(head))
    ended = jobs.filter(state__in=[State.SUCCEEDED, State.FAILED]).select_related("created_by")
    return ended.order_by("-number").first()


def schedule_of(dataset: Dataset) -> PeriodicTask | None:
    """Return the dataset's retraining schedule with its crontab, or None if it is off."""
    return PeriodicTask.objects.filter(name=schedule_name(dataset)).select_related("crontab").first()


def schedule_name(dataset: Dataset) -> str:
    """Return the name of the dataset's periodic task."""
    return f"train dataset {dataset.pk}"


def encoding_problems(dataset: Dataset) -> QuerySet[EncodingProblem]:
    """Return the images of the dataset that an encoder could not read, with the reasons.

    A missing local detail is no such problem: the head then reads the embedding alone.
    """
    rows = EncodingProblem.objects.filter(image__dataset=dataset, encoder__kind=Encoder.Kind.IMAGE_TEXT)
    return rows.select_related("image").order_by("image_id")


def heads_by_label(label_ids: list[int]) -> dict[int, int]:
    """Return label id → number of heads that have the label as a class."""
    counts: dict[int, int] = {}
    heads = Head.objects.filter(label_ids__overlap=label_ids).order_by()
    for ids in heads.values_list("label_ids", flat=True):
        for label_id in set(ids) & set(label_ids):
            counts[label_id] = counts.get(label_id, 0) + 1
    return counts


def training_images(ids: list[int]) -> set[int]:
    """Return which of these images a head was trained on."""
    return set(HeadTrainingLabel.objects.filter(image__in=ids).values_list("image_id", flat=True))


def imported_label_count(head: Head) -> int:
    """Return how many training labels of the head came with their images."""
    return head.training_labels.filter(imported=True).count()


def label_counts(head: Head) -> dict[int, int]:
    """Return label id → number of training images of the head with this label."""
    rows = head.training_labels.order_by().values("label_id").annotate(n=Count("image_id"))
    return {row["label_id"]: row["n"] for row in rows}


def embedded_count(*, encoder: Encoder, dataset: Dataset) -> int:
    """Return the number of the dataset's embeddings by this encoder, from the log instead of a row count."""
    changes = EmbeddingChange.objects.filter(encoder=encoder, dataset=dataset)
    return changes.aggregate(n=Sum("rows"))["n"] or 0


def encoder_in_use(dataset: Dataset) -> Encoder | None:
    """Return the encoder of the head in use.

    Before the first head, return the newest encoder with the dataset's encoder name that has embedded an
    image of the dataset. Return None if no image is embedded.
    """
    in_use = Encoder.objects.filter(head__champion__dataset=dataset).first()
    if in_use is not None:
        return in_use
    named = Encoder.objects.filter(name=dataset.encoder_name).order_by("-id")
    return next((encoder for encoder in named if has_embeddings(dataset, encoder)), None)


def has_embeddings(dataset: Dataset, encoder: Encoder) -> bool:
    """Return whether the encoder has embedded any image of the dataset."""
    return Embedding.objects.filter(encoder=encoder, image__dataset=dataset).exists()


def long_prompts(dataset: Dataset, encoders: Iterable[Encoder | int]) -> list[LongPrompt]:
    """Return the current prompts that one of these encoders cannot read to their end, by label and position.

    `encoders` can be a queryset, which costs no query of its own.
    """
    current = PromptSet.objects.filter(dataset=dataset).order_by("-version").values("pk")[:1]
    rows = LongPrompt.objects.filter(
        encoder__in=encoders, prompt__prompt_set=Subquery(current), prompt__label__archived_at__isnull=True
    )
    in_order = rows.order_by("prompt__label__position", "prompt__label", "prompt__position", "prompt")
    return list(in_order.select_related("prompt__label"))


def long_prompts_in_use(dataset: Dataset) -> list[LongPrompt]:
    """Return the current prompts that the encoder of the head in use cannot read to their end."""
    return long_prompts(dataset, Encoder.objects.filter(head__champion__dataset=dataset))


def encoder_changes(dataset: Dataset) -> QuerySet[EncoderChange]:
    """Return the encoder changes of the dataset, newest first."""
    return (
        EncoderChange.objects.filter(dataset=dataset)
        .select_related("job", "from_encoder", "to_encoder", "from_head", "to_head", "created_by", "dataset")
        .defer("from_head__weights", "to_head__weights")
        .order_by("-id")
    )


def open_change(dataset: Dataset) -> EncoderChange | None:
    """Return the unfinished encoder change: in preparation, ready, or in progress. None if there is none."""
    return encoder_changes(dataset).filter(state__in=EncoderChange.OPEN).first()


def embedded_counts(dataset: Dataset) -> list[tuple[Encoder, int]]:
    """Return (encoder, number of embedded images) for all encoders with embeddings of the dataset.

    The detail descriptor is not among them.
    """
    encoders = Encoder.objects.filter(kind=Encoder.Kind.IMAGE_TEXT, embeddingchange__dataset=dataset)
    counted = encoders.annotate(n=Sum("embeddingchange__rows")).exclude(n=0).order_by("-id")
    return [(encoder, encoder.n) for encoder in counted]


def unreadable_by(dataset: Dataset, encoder: Encoder) -> int:
    """Return the number of the dataset's images that the encoder could not read."""
    return EncodingProblem.objects.filter(encoder=encoder, image__dataset=dataset).count()


def embedding_bytes(encoder: Encoder, embeddings: int) -> int:
    """Return the approximate size of `embeddings` embeddings in the database, in bytes.

    One embedding takes two bytes for each dimension, the row header, and an entry in the primary key.
    """
    return embeddings * (2 * encoder.dim + 8 + 16 + 28 + 40)


def worker_differences(dataset: Dataset) -> QuerySet[WorkerDifference]:
    """Return the workers that embed nothing for the dataset.

    Their vectors differ from the reference vectors. The result covers the dataset's encoder and the encoder
    of an unfinished change, in the last 30 days.
    """
    names = [dataset.encoder_name]
    if (change := open_change(dataset)) is not None:
        names.append(change.to_name)
    since = clock.now() - timedelta(days=30)
    rows = WorkerDifference.objects.filter(encoder__name__in=names, seen_at__gte=since)
    return rows.select_related("encoder").order_by("host", "encoder_id")


def worker_reports() -> QuerySet[WorkerReport]:
    """Return the worker reports of the last 30 days, workers with a GPU first."""
    since = clock.now() - timedelta(days=30)
    return WorkerReport.objects.filter(seen_at__gte=since).order_by("-device", "host")
