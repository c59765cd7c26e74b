"""A small reviewed dataset, and a label set written from it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.core.files.storage import default_storage

from mekiki.exports.models import LabelSet
from mekiki.exports.services import freeze
from mekiki.exports.writing import write_label_set
from mekiki.review.models import Decision, Stream
from tests import factories


@dataclass
class Judged:
    """The objects that the fixture created."""

    dataset: Any
    admin: Any
    reviewer: Any
    labels: list[Any]  # good, scratch (critical), =dent
    head: Any
    images: list[Any]


def shown_for(head: Any, label: Any, confidence: float, **more: Any) -> dict[str, Any]:
    """Return what review.services records as shown for a prediction."""
    return {
        "stream": "uncertain",
        "propensity": 0.25,
        "blind": False,
        "head": head.version,
        "head_digest": head.digest,
        "prompt_set": head.prompt_set.version,
        "label": label.pk,
        "label_name": label.name,
        "confidence": confidence,
        "calibrated": head.calibrated,
        "runner_up": None,
        **more,
    }


def make_judged() -> Judged:
    """Create twelve images.

    0–3 are confirmed, 4–5 corrected, 6–7 answered blind, 8 flagged, 9–11 not reviewed.
    """
    admin, reviewer = factories.UserFactory(username="admin"), factories.UserFactory(username="=reviewer")
    dataset = factories.DatasetFactory(slug="parts", name="部品 Parts", admin=admin, reviewer=reviewer)
    good = factories.LabelFactory(dataset=dataset, name="good", guideline="No visible defect")
    scratch = factories.LabelFactory(dataset=dataset, name="傷", critical=True)
    dent = factories.LabelFactory(dataset=dataset, name="=dent")
    head = factories.HeadFactory(dataset=dataset, calibrated=True)
    factories.ChampionFactory(head=head)
    factories.EvaluationFactory(head=head)
    images = []
    for number in range(12):
        name = "=cmd()|'/C calc'!A0.png" if number == 0 else f"線 {number},\n'quoted'.png"
        image = factories.ImageFactory(dataset=dataset, name=name, stored=True)
        images.append(image)
        predicted = (good, scratch, dent)[number % 3]
        factories.PredictionFactory(head=head, image=image, label=predicted, confidence=0.9 + number / 200)
        blind = number in (6, 7)
        stream = Stream.AUDIT if blind else Stream.UNCERTAIN
        item = factories.QueueItemFactory(
            dataset=dataset, image=image, stream=stream, head=head, propensity=0.25
        )
        shown = shown_for(head, predicted, 0.9 + number / 200)
        if blind:
            shown = {"stream": "audit", "propensity": 0.15, "blind": True}
        common = {"dataset": dataset, "image": image, "user": reviewer, "item": item, "shown": shown}
        if number < 8:
            confirm = number < 4
            label = predicted if confirm else dent if predicted != dent else good
            decision = factories.DecisionFactory(
                **common, kind=Decision.Kind.CONFIRM if confirm else Decision.Kind.CORRECT, label=label
            )
            factories.ConfirmedLabelFactory(
                dataset=dataset,
                image=image,
                label=label,
                decision=decision,
                stream=stream,
                in_training=not blind,
            )
        elif number == 8:
            factories.DecisionFactory(**common, kind=Decision.Kind.FLAG, label=None, note="odd light")
    return Judged(dataset, admin, reviewer, [good, scratch, dent], head, images)


def freeze_judged(judged: Judged) -> LabelSet:
    """Freeze a label set with images and with labels of reviewers and of the machine."""
    draft = freeze(
        dataset=judged.dataset, user=judged.admin, note="first", include_images=True, machine_threshold=0.94
    )
    return write_label_set(label_set=draft, progress=ignore_progress)


def ignore_progress(done: int, total: int) -> None:
    """Ignore the progress."""


def path_of(label_set: LabelSet) -> Path:
    """Return the path of a frozen label set."""
    return Path(default_storage.path(label_set.file))
