"""The figures of a study's report, from its inputs."""

from typing import Any

import numpy as np

from mekiki.quality.figures import FORMAT
from mekiki.quality.inputs import MISSING, UNABLE, StudyInputs
from workers.evaluation import agreement
from workers.evaluation.metrics import Proportion

CONFIDENCE = 0.95
# AIAG, "Measurement systems analysis": a kappa above 0.75 is good to excellent agreement.
GOOD_KAPPA = 0.75
MOST_IMAGES = 12  # of the images with different answers


def verdict_of(kappa: agreement.Coefficient, between: Proportion) -> str:
    """Return "good", "poor", "unclear" or "undefined" for the agreement of all reviewers.

    The interval of Fleiss' kappa must lie on one side of GOOD_KAPPA. Without any disagreement there is no
    interval, and the lower limit of the proportion of images with equal answers takes its place.
    """
    if kappa.value is None:
        return "undefined"
    if kappa.low is None or kappa.high is None:
        perfect = kappa.value == 1 and between.n and between.low >= GOOD_KAPPA
        return "good" if perfect else "unclear"
    if kappa.low >= GOOD_KAPPA:
        return "good"
    return "poor" if kappa.high < GOOD_KAPPA else "unclear"


def compute_figures(inputs: StudyInputs) -> dict[str, Any]:
    """Return the figures of a study (format: mekiki.quality.figures). Equal inputs give equal figures."""
    shape = (len(inputs.reviewers), len(inputs.images), inputs.design["runs"])
    stored = np.array(inputs.answers, np.int64).reshape(shape)
    answers = np.where(stored == UNABLE, MISSING, stored)
    reference = np.array(inputs.reference, np.int64)
    has_reference = bool((reference != MISSING).any())
    n_labels = len(inputs.labels)
    critical = np.array([label.critical for label in inputs.labels], bool)
    seed = inputs.design["seed"] % 2**32
    all_ratings = answers.transpose(1, 0, 2).reshape(len(inputs.images), -1)
    fleiss = agreement.fleiss_kappa(all_ratings, n_labels, seed=seed, confidence=CONFIDENCE)
    between = agreement.between_reviewers(answers, CONFIDENCE)
    differing = _differing(inputs, stored, answers)
    return {
        "format": FORMAT,
        "design": inputs.design,
        "labels": [vars(label) for label in inputs.labels],
        "reviewers": _reviewers(inputs, stored, answers, reference if has_reference else None, critical),
        "reference_person": inputs.reference_person.name if inputs.reference_person else "",
        "reference_images": int((reference != MISSING).sum()),
        "images": len(inputs.images),
        "confidence": CONFIDENCE,
        "resamples": agreement.RESAMPLES,
        "verdict": verdict_of(fleiss, between),
        "between": _share(between),
        "all_reference": _share(agreement.all_with_reference(answers, reference, CONFIDENCE))
        if has_reference
        else None,
        "fleiss": vars(fleiss),
        "alpha": vars(agreement.krippendorff_alpha(all_ratings, n_labels, seed=seed, confidence=CONFIDENCE)),
        "pairs": [
            {
                "first": a,
                "second": b,
                "kappa": vars(agreement.cohen_kappa(answers[a], answers[b], n_labels, seed=seed)),
            }
            for a in range(shape[0])
            for b in range(a + 1, shape[0])
        ],
        "differing": differing[:MOST_IMAGES],
        "differing_count": len(differing),
    }


def _reviewers(
    inputs: StudyInputs,
    stored: agreement.Ints,
    answers: agreement.Ints,
    reference: agreement.Ints | None,
    critical: Any,
) -> list[dict[str, Any]]:
    n_labels = len(inputs.labels)
    joint = agreement.joint_reviewers(answers)
    within = agreement.within_reviewers(answers, CONFIDENCE)
    seed = inputs.design["seed"] % 2**32
    rows: list[dict[str, Any]] = []
    for r, person in enumerate(inputs.reviewers):
        own = agreement.fleiss_kappa(answers[r], n_labels, seed=seed, confidence=CONFIDENCE)
        rows.append(
            {
                "name": person.name,
                "member": person.member,
                "joint": r in joint,
                "wanted": int(stored[r].size),
                "given": int((stored[r] != MISSING).sum()),
                "unable": int((stored[r] == UNABLE).sum()),
                "within": _share(within[r]),
                "own_kappa": vars(own),
                "reference": None,
                "reference_kappa": None,
                "misses": None,
                "false_alarms": None,
                "confusion": None,
            }
        )
    if reference is None:
        return rows
    right = agreement.with_reference(answers, reference, CONFIDENCE)
    errors = agreement.critical_errors(answers, reference, critical, CONFIDENCE)
    matrices = agreement.confusion_matrices(answers, reference, n_labels)
    for r, row in enumerate(rows):
        kappa = agreement.cohen_kappa(answers[r], reference, n_labels, seed=seed, confidence=CONFIDENCE)
        row |= {
            "reference": _share(right[r]),
            "reference_kappa": vars(kappa),
            "confusion": matrices[r].tolist(),
        }
        if critical.any():
            row |= {
                "misses": _share(errors[r].misses),
                "false_alarms": _share(errors[r].false_alarms),
            }
    return rows


def _differing(inputs: StudyInputs, stored: agreement.Ints, answers: agreement.Ints) -> list[dict[str, Any]]:
    """Return the images whose answers differ, those with the most different answers first."""
    values = agreement.image_disagreement(answers, len(inputs.labels))
    order = sorted(
        (n for n, value in enumerate(values) if value > 0), key=lambda n: (-values[n], inputs.images[n])
    )
    return [
        {
            "sha256": inputs.images[n],
            "disagreement": float(values[n]),
            "reference": int(inputs.reference[n]),
            "answers": stored[:, n].tolist(),
        }
        for n in order
    ]


def _share(share: Proportion) -> dict[str, Any]:
    return {"k": share.k, "n": share.n, "value": share.value, "low": share.low, "high": share.high}
