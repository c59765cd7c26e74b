"""Trials of prompts for the workbench, in the search worker: gather, compute, record.

The encoder runs in the child process of the search worker. Vectors of prompts are kept in this process, so
that a change of one prompt embeds only this prompt.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mekiki.datasets.models import Dataset
from mekiki.labeling.models import Label
from mekiki.labeling.selectors import active_labels
from mekiki.learning import models
from mekiki.learning.prompt_trials import (
    Problem,
    record_trial,
    record_trial_problem,
    trial_has_ended,
    waiting_trial,
)
from mekiki.review.models import ConfirmedLabel
from mekiki.review.selectors import audit_sample, is_excluded
from workers.embeddings import Mirror, load_mirror
from workers.heads.prompt_trial import PromptTrial, TrialPrompts, flip_rows, run_trial
from workers.steps.texts import OtherEncoderError, ReaderError, TextEncoderProcess, ask_encoder, search_reader

KNOWN_TEXTS = 4000  # vectors kept in this process, about 2 kB each
# Images of a label and of a change. Some are hidden when a page shows them, so there are more than shown.
BEST, FLIPS, PAIRS = 15, 18, 200
SIMILAR_PAIRS = 12
SHOWN = ("brought", "driven")  # effects that are stored also if there are none
# Fewer images with a known label say nothing about single prompts.
LEAST_KNOWN = 10

_known: OrderedDict[tuple[int, str], tuple[NDArray[np.float32], int, int]] = OrderedDict()


def try_requested_prompts(trial_id: int, reader: TextEncoderProcess | None = None) -> str:
    """Store the result of a trial, or why there is none; return "" if nobody waits for it."""
    row = waiting_trial(trial_id)
    if row is None:
        return ""
    labels = [label for label in active_labels(row.dataset) if str(label.pk) in row.prompts]
    try:
        result = compute(row, labels, reader or search_reader())
    except ReaderError as error:
        record_trial_problem(row=row, problem=Problem.NOT_LOADED, reason=str(error)[:500])
        return Problem.NOT_LOADED
    except OtherEncoderError as error:
        record_trial_problem(row=row, problem=Problem(error.problem.value))
        return error.problem
    except ValueError as error:  # prompts that cancel each other out, or no label left
        record_trial_problem(row=row, problem=Problem.FAILED, reason=str(error)[:500])
        return Problem.FAILED
    if result is None:
        return ""
    record_trial(row=row, result=result)
    return "found"


def compute(
    row: models.PromptTrial, labels: list[Label], reader: TextEncoderProcess
) -> dict[str, Any] | None:
    """Return the result of a trial (learning.prompt_trials), or None if it was dropped meanwhile."""
    texts = [text for label in labels for text in row.prompts[str(label.pk)]]
    owner = np.array(
        [place for place, label in enumerate(labels) for _ in row.prompts[str(label.pk)]], np.int64
    )
    earlier = [text for label in labels for text in row.before.get(str(label.pk), [])]
    known = embed_texts(row.encoder, [*texts, *earlier], reader)
    if trial_has_ended(row.pk):
        return None
    mirror = load_mirror(row.encoder, row.dataset)
    if not len(mirror):
        raise ValueError("no image is embedded")
    prompts = TrialPrompts(np.stack([known[text][0] for text in texts]), owner, len(labels))
    shown = _shown(row.dataset, mirror)
    truth = _known_labels(row.dataset, mirror, labels)
    trial = run_trial(
        mirror.vectors,
        prompts,
        _class_embeddings(row, labels, known),
        logit_scale=row.encoder.logit_scale,
        shown=shown,
        truth=truth,
        n_best=BEST,
    )
    result = _as_json(row, labels, mirror, trial, shown, [known[text][1:] for text in texts])
    return result | {"reviewed": _reviewed(trial, truth)}


def embed_texts(
    encoder: models.Encoder, texts: Sequence[str], reader: TextEncoderProcess
) -> dict[str, tuple[NDArray[np.float32], int, int]]:
    """Return text → (unit vector (d,), its number of tokens, the number that the encoder reads).

    Raises ReaderError and OtherEncoderError.
    """
    wanted = list(dict.fromkeys(texts))
    missing = [text for text in wanted if (encoder.pk, text) not in _known]
    # Ask even without a new text: the encoder on this machine may have changed.
    reply = ask_encoder(reader, encoder, missing)
    for text, vector, count in zip(missing, reply["vectors"], reply["counts"], strict=True):
        _known[encoder.pk, text] = (np.asarray(vector, np.float32), count, reply["most"])
    for text in wanted:
        _known.move_to_end((encoder.pk, text))
    vectors = {text: _known[encoder.pk, text] for text in wanted}
    while len(_known) > KNOWN_TEXTS:
        _known.popitem(last=False)
    return vectors


def _class_embeddings(
    row: models.PromptTrial, labels: list[Label], known: dict[str, tuple[NDArray[np.float32], int, int]]
) -> NDArray[np.float32] | None:
    """Return the class embeddings (L, d) of the prompts to compare with; NaN for a label without prompts."""
    classes = np.full((len(labels), row.encoder.dim), np.nan, np.float32)
    for place, label in enumerate(labels):
        texts = row.before.get(str(label.pk), [])
        if texts:
            vectors = np.stack([known[text][0] for text in texts])
            classes[place] = TrialPrompts(vectors, np.zeros(len(texts), np.int64), 1).class_embeddings[0]
    return None if np.isnan(classes).all() else classes


def _shown(dataset: Dataset, mirror: Mirror) -> NDArray[np.bool_]:
    """Return the mask (n,) of images that may be examples.

    No image of the audit sample is one: prompts that are chosen by looking at them would look better there
    than elsewhere. Pages hide further images (review.blinding).
    """
    return np.asarray(mirror.keys >= dataset.audit_fraction)


def _as_json(
    row: models.PromptTrial,
    labels: list[Label],
    mirror: Mirror,
    trial: PromptTrial,
    shown: NDArray[np.bool_],
    tokens: list[tuple[int, int]],
) -> dict[str, Any]:
    ids = [label.pk for label in labels]
    n_labels = len(ids)
    compared = bool((trial.before >= 0).any())
    old_counts = np.bincount(trial.before[trial.before >= 0], minlength=n_labels)
    nobody = np.empty(0, np.int64)
    flips = trial.flips()
    examples = flip_rows(trial, shown, FLIPS, PAIRS)
    frequent = [(int(a), int(b)) for a, b in np.argwhere(flips) if flips[a, b]]
    frequent.sort(key=lambda pair: -flips[pair])
    effects = [
        {name: value for name, value in asdict(effect).items() if value is not None or name in SHOWN}
        | {"tokens": count}
        for effect, (count, _most) in zip(trial.effects, tokens, strict=True)
    ]
    of_prompts: dict[str, list[dict[str, Any]]] = {}
    at = 0
    for label in labels:
        number = len(row.prompts[str(label.pk)])
        of_prompts[str(label.pk)], at = effects[at : at + number], at + number
    upper = [(a, b) for a in range(n_labels) for b in range(a + 1, n_labels)]
    upper.sort(key=lambda pair: -trial.similar[pair])
    blurred = [pair for pair in upper[SIMILAR_PAIRS:] if trial.spread[pair] < 1.0][:SIMILAR_PAIRS]
    return {
        "images": len(mirror),
        "context": max((most for _count, most in tokens), default=0),
        "labels": ids,
        "counts": np.bincount(trial.label, minlength=n_labels).tolist(),
        "before": old_counts.tolist() if compared else None,
        "changed": int(flips.sum()),
        "flips": [
            [ids[a], ids[b], int(flips[a, b]), mirror.ids[examples.get((a, b), nobody)].tolist()]
            for a, b in frequent[:PAIRS]
        ],
        "best": {str(pk): mirror.ids[trial.best_rows[c]].tolist() for c, pk in enumerate(ids)},
        "prompts": of_prompts,
        "pairs": [
            [ids[a], ids[b], round(float(trial.similar[a, b]), 4), int(trial.between[a, b]),
             round(float(trial.spread[a, b]), 4)]
            for a, b in [*upper[:SIMILAR_PAIRS], *blurred]
        ],
        "accuracy": _accuracy(row.dataset, mirror, trial, ids, compared),
    }  # fmt: skip


def _accuracy(
    dataset: Dataset, mirror: Mirror, trial: PromptTrial, ids: list[int], compared: bool
) -> dict[str, Any] | None:
    """Return the accuracy on the audit sample by both prompts, or None before the first audited image."""
    if not audit_sample(dataset)[:1]:
        return None
    # Not before an audit sample exists: this process stays small, and the measures need more packages.
    from workers.evaluation.metrics import accuracy
    from workers.steps.auditing import embedded_audit_sample

    sample = embedded_audit_sample(dataset, mirror, ids)
    if not len(sample.rows):
        return None
    now, old = trial.label[sample.rows], trial.before[sample.rows]
    right, was_right = now == sample.truth, old == sample.truth
    figures = {"now": asdict(accuracy(sample.truth, now, weights=sample.weights))}
    if compared:
        figures["before"] = asdict(accuracy(sample.truth, old, weights=sample.weights))
    return figures | {
        "better": int(np.count_nonzero(right & ~was_right)) if compared else None,
        "worse": int(np.count_nonzero(was_right & ~right)) if compared else None,
    }


def _known_labels(dataset: Dataset, mirror: Mirror, labels: list[Label]) -> NDArray[np.int64] | None:
    """Return the label (n,) of training images as a place in `labels`, else −1; None with too few of them.

    Images of the audit sample are not among them.
    """
    place = {label.pk: c for c, label in enumerate(labels)}
    rows = ConfirmedLabel.objects.filter(dataset=dataset, in_training=True, label__in=place)
    rows = rows.filter(~is_excluded("image"))
    pairs = list(rows.values_list("image_id", "label_id"))
    at, there = mirror.rows_of([image for image, _label in pairs])
    if np.count_nonzero(there) < LEAST_KNOWN:
        return None
    truth = np.full(len(mirror), -1, np.int64)
    truth[at[there]] = np.array([place[label] for _image, label in pairs], np.int64)[there]
    return truth


def _reviewed(trial: PromptTrial, truth: NDArray[np.int64] | None) -> dict[str, Any] | None:
    """Return the number of training images, and of those that the prompts label the same; or None."""
    if truth is None:
        return None
    known = truth >= 0
    compared = bool((trial.before >= 0).any())
    return {
        "n": int(np.count_nonzero(known)),
        "now": int(np.count_nonzero(trial.label[known] == truth[known])),
        "before": int(np.count_nonzero(trial.before[known] == truth[known])) if compared else None,
    }
