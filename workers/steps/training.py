"""Training of heads for an encoder, from prompts and confirmed labels. Nothing is promoted here."""

from collections.abc import Set
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mekiki.accounts.models import User
from mekiki.datasets.models import Dataset, Image
from mekiki.labeling.models import Label, PromptSet
from mekiki.learning import models
from mekiki.learning.reports import HeadMetrics
from mekiki.learning.services import (
    decisions_digest,
    next_version,
    record_head,
    record_long_prompts,
    seed_for,
)
from mekiki.review import near_duplicates
from mekiki.review.errors import ReviewError
from mekiki.review.imported import labels_to_train_on
from mekiki.review.selectors import ImageVotes, training_votes
from mekiki.review.view_images import images_of_view
from workers.embeddings import Mirror
from workers.encoders import Encoder
from workers.heads.log import Log
from workers.heads.serial import dump_head
from workers.heads.targets import hard_labels, make_targets
from workers.heads.train import TrainedHead, train_head
from workers.heads.zero_shot import ZeroShotHead
from workers.runner import Report
from workers.steps.encoders import class_embeddings, long_prompts, ordered_prompts
from workers.steps.promotion import decide_promotion, prompts_log_loss
from workers.steps.vectors import training_detail
from workers.versions import code_version


@dataclass(frozen=True)
class HeadInputs:
    """Inputs of a head: one encoder, one schema, one prompt set."""

    dataset: Dataset
    encoder: Encoder
    row: models.Encoder
    labels: list[Label]
    prompt_set: PromptSet
    text: NDArray[np.float32]  # (L, d), one class embedding per label
    long: list[models.LongPrompt]  # prompts that the encoder truncates, as rows that are not stored

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        encoder: Encoder,
        row: models.Encoder,
        labels: list[Label],
        prompt_set: PromptSet,
    ) -> "HeadInputs":
        """Return a setting with the class embeddings of the prompts.

        Raises StageError that names a label without a prompt.
        """
        prompts = ordered_prompts(labels, prompt_set)
        text, long = class_embeddings(encoder, labels, prompts), long_prompts(encoder, row, prompts)
        return cls(dataset, encoder, row, labels, prompt_set, text, long)

    @property
    def label_ids(self) -> list[int]:
        return [label.pk for label in self.labels]

    @property
    def long_as_json(self) -> list[dict[str, Any]]:
        return [prompt.as_json() for prompt in self.long]

    def record_long_prompts(self) -> None:
        """Store which prompts the encoder truncates, for the pages."""
        record_long_prompts(encoder=self.row, prompt_set=self.prompt_set, long_prompts=self.long)


def images_left_out(run: models.TrainingRun) -> set[int]:
    """Return the ids of the images that match the saved view that a training run leaves out.

    Raises ReviewError if a filter of the view has a value that does not exist any more.
    """
    if not run.without_query:
        return set()
    if run.created_by is None:
        raise ReviewError("no_user", "The user who requested the training was deleted.")
    images = images_of_view(run.dataset, run.created_by, run.without_query)
    return set(images.order_by().values_list("pk", flat=True))


class TrainingSet(NamedTuple):
    """The n images that a head is trained on.

    rows: (n,) of the mirror. y: targets as of `make_targets`. votes: the decisions behind each target.
    near_left_out: number of further images that are left out as near-duplicates of the audit reserve.
    """

    rows: np.ndarray
    y: np.ndarray
    votes: list[ImageVotes]
    near_left_out: int


def training_set(
    dataset: Dataset, mirror: Mirror, label_ids: list[int], left_out: Set[int] = frozenset()
) -> TrainingSet:
    """Return the images of a dataset that a head is trained on.

    Labels outside `label_ids` (archived since), images without an embedding and the images `left_out` are
    left out, and so are near-duplicates of the audit reserve if the dataset leaves them out.
    """
    known = set(label_ids)
    decided = training_votes(dataset)
    imported = labels_to_train_on(dataset, {votes.image for votes in decided})
    both = sorted((*decided, *imported), key=lambda votes: votes.image)
    wanted = [votes for votes in both if votes.label in known and votes.image not in left_out]
    votes_of_images = near_duplicates.without_near_audit(dataset, wanted)
    rows, embedded = mirror.rows_of([votes.image for votes in votes_of_images])
    kept = [votes for votes, there in zip(votes_of_images, embedded, strict=True) if there]
    return TrainingSet(
        rows[embedded],
        make_targets(votes_of(kept), label_ids),
        near_duplicates.with_groups(dataset, kept),
        len(wanted) - len(votes_of_images),
    )


def fold_groups(training: list[ImageVotes]) -> NDArray[np.int64] | None:
    """Return (n,) numbers of the groups of near-duplicates in a training set, or None if there are none."""
    if not any(votes.near_group is not None for votes in training):
        return None
    # An image without a group has a number of its own. First images of groups are positive ids.
    return np.array([-votes.image if votes.near_group is None else votes.near_group for votes in training])


def votes_of(training: list[ImageVotes]) -> list[list[int]]:
    """Return the label ids of the decisions about each image, the valid decision first."""
    return [[votes.label, *(label for label, _decision in votes.others)] for votes in training]


def training_set_digest(dataset: Dataset, training: list[ImageVotes]) -> str:
    """Return the digest of a training set, 64 characters, with one line per decision.

    A line names the group of near-duplicates, if the training set has several images of it.
    """
    names = {label.pk: label.name for label in dataset.labels.all()}
    hashes = dict(
        Image.objects.filter(pk__in=[votes.image for votes in training]).values_list("pk", "sha256")
    )

    def source(votes: ImageVotes, decision: int) -> str:
        group = "" if votes.near_group is None else f" near {votes.near_group}"
        return f"{'imported ' if votes.imported else ''}{decision}{group}"

    return decisions_digest(
        (hashes[votes.image], names[label], source(votes, decision))
        for votes in training
        for label, decision in ((votes.label, votes.decision), *votes.others)
    )


def seed_of_head(dataset: Dataset, version: int) -> int:
    """Return the seed of the head with this version."""
    return seed_for(dataset, "head", version)


def zero_shot_bytes(setting: HeadInputs) -> bytes:
    """Return the serialized head of these prompts. It is used to make and to repeat a head."""
    return dump_head(ZeroShotHead(setting.text, setting.encoder.logit_scale))


def trained_bytes(
    setting: HeadInputs,
    X: np.ndarray,
    y: np.ndarray,
    *,
    detail: np.ndarray | None,
    groups: np.ndarray | None,
    seed: int,
    log: Log,
) -> tuple[bytes, TrainedHead]:
    """Return (serialized head trained on X (n, d), y (n,) or soft (n, L), the trained head).

    detail: (n, k) detail descriptors, or None. groups: (n,) of near-duplicates, or None.

    It is used to train a head and to repeat its training; the same inputs give the same bytes.
    """
    scale = setting.encoder.logit_scale
    trained = train_head(
        X,
        y,
        class_embeddings=setting.text,
        logit_scale=scale,
        seed=seed,
        log=log,
        detail=detail,
        groups=groups,
    )
    return dump_head(trained.head), trained


def zero_shot_head(setting: HeadInputs, user: User | None) -> models.Head:
    """Return the head of these prompts, an existing or a new one."""
    head = (
        models.Head.objects.filter(
            dataset=setting.dataset,
            kind=models.Head.Kind.ZERO_SHOT,
            encoder=setting.row,
            prompt_set=setting.prompt_set,
            label_ids=setting.label_ids,
        )
        .order_by("-version")
        .first()
    )
    if head is not None:
        return head
    return record_head(
        dataset=setting.dataset,
        kind=models.Head.Kind.ZERO_SHOT,
        encoder=setting.row,
        prompt_set=setting.prompt_set,
        label_ids=setting.label_ids,
        weights=zero_shot_bytes(setting),
        calibrated=False,
        seed=seed_of_head(setting.dataset, next_version(setting.dataset)),
        code_version=code_version(),
        metrics=HeadMetrics.current(long_prompts=setting.long_as_json),
        user=user,
    )


@dataclass(frozen=True)
class NewHead:
    """A trained head that is not stored yet."""

    weights: bytes  # the serialized head
    kind: str
    calibrated: bool
    seed: int
    metrics: HeadMetrics
    detail: models.Encoder | None = None  # the detail descriptor that the head reads after the embedding


def compute_head(
    setting: HeadInputs,
    X: np.ndarray,
    y: np.ndarray,
    *,
    detail: tuple[np.ndarray, models.Encoder] | None,
    groups: np.ndarray | None,
    seed: int,
    report: Report,
    log: Log,
) -> NewHead:
    """Return a head trained on X (n, d), y (n,) or soft (n, L), and detail descriptors (n, k) with their row.

    Rows of one of the groups (n,) share a fold. The head leaves the detail out if cross-validation prefers
    that.
    """
    report(stage="training", unit="labels", total=len(y))
    log(
        "made_with",
        encoder=setting.row.name,
        digest=setting.row.digest[:12],
        prompt_set=setting.prompt_set.version,
        seed=seed,
    )
    differ = int((y.max(axis=1) < 1).sum()) if y.ndim == 2 else 0
    if differ:
        log("decisions_differ", images=differ)
    if groups is not None:
        sizes = np.unique(groups, return_counts=True)[1]
        log("near_duplicates", images=int(sizes[sizes > 1].sum()), groups=int((sizes > 1).sum()))
    values = None if detail is None else detail[0]
    weights, trained = trained_bytes(setting, X, y, detail=values, groups=groups, seed=seed, log=log)
    report(done=len(y))
    prompts_alone = prompts_log_loss(X, hard_labels(y), setting.text, setting.encoder.logit_scale)
    metrics = HeadMetrics.current(
        **trained.metrics,
        long_prompts=setting.long_as_json,
        prompts_log_loss=prompts_alone,
        differing_decisions=differ,
    )
    reads_detail = detail is not None and trained.head.dim > X.shape[1]
    descriptor = detail[1] if detail is not None and reads_detail else None
    return NewHead(weights, trained.head.kind, trained.head.calibrated, seed, metrics, descriptor)


def record_new_head(
    setting: HeadInputs,
    new: NewHead,
    training: list[ImageVotes],
    digest: str,
    *,
    run: models.TrainingRun | None,
    user: User | None,
) -> models.Head:
    """Store a trained head with the decisions it was trained on, and their digest."""
    return record_head(
        dataset=setting.dataset,
        kind=new.kind,
        encoder=setting.row,
        prompt_set=setting.prompt_set,
        label_ids=setting.label_ids,
        weights=new.weights,
        calibrated=new.calibrated,
        seed=new.seed,
        code_version=code_version(),
        metrics=new.metrics,
        training=[(votes.image, votes.label, votes.decision) for votes in training],
        others={votes.image: [decision for _label, decision in votes.others] for votes in training},
        imported={votes.image for votes in training if votes.imported},
        near_groups={votes.image: votes.near_group for votes in training if votes.near_group is not None},
        training_digest=digest,
        detail=new.detail,
        run=run,
        user=user,
    )


def best_head(
    setting: HeadInputs, mirror: Mirror, *, user: User | None, report: Report, log: Log
) -> models.Head:
    """Return the head an encoder starts with.

    It is a head trained on the confirmed labels if it explains them no worse than the prompts alone, else the
    head of the prompts. An existing head from the same inputs is reused.
    """
    prompts = zero_shot_head(setting, user)
    rows, y, training, _near = training_set(setting.dataset, mirror, setting.label_ids)
    if not len(rows):
        return prompts
    digest = training_set_digest(setting.dataset, training)
    detail = training_detail(setting.dataset, mirror, rows)
    stored = (
        models.Head.objects.exclude(kind=models.Head.Kind.ZERO_SHOT)
        .filter(
            dataset=setting.dataset,
            encoder=setting.row,
            prompt_set=setting.prompt_set,
            label_ids=setting.label_ids,
            decisions_digest=digest,
            code_version=code_version(),
        )
        .order_by("-version")
    )
    with_detail = detail is not None
    same = (head for head in stored if bool(head.metrics.detail_strengths) == with_detail)
    trained = next(same, None)
    if trained is None:
        X = np.asarray(mirror.vectors[rows], np.float32)
        seed = seed_of_head(setting.dataset, next_version(setting.dataset))
        groups = fold_groups(training)
        new = compute_head(setting, X, y, detail=detail, groups=groups, seed=seed, report=report, log=log)
        trained = record_new_head(setting, new, training, digest, run=None, user=user)
    assert trained.metrics.prompts_log_loss is not None  # every trained head has it
    verdict = decide_promotion(
        labels=trained.n_labels,
        log_loss=trained.metrics.log_loss,
        prompts=trained.metrics.prompts_log_loss,
        audit=None,
        schema_changed=False,
    )
    return trained if verdict.promote else prompts
