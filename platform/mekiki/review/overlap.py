"""Overlap: how many reviewers decide an image, by its stream and its labels.

The overlap of the stream replaces the overlap of the dataset. A label can ask for more: an image that is
predicted or answered as this label gets at least the least overlap of the label. See
docs/decisions/0042-overlap-disagreement-and-rulings.md.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from mekiki.datasets.models import Dataset
from mekiki.labeling.models import Label
from mekiki.labeling.selectors import active_labels
from mekiki.review.models import BLIND_STREAMS, OVERLAP_STREAMS, StreamOverlap


def least_overlap(dataset: Dataset, label: Label) -> int:
    """Return how many reviewers at least decide an image that is predicted or answered as the label."""
    return max(label.min_overlap, dataset.critical_overlap if label.critical else 1)


@dataclass(frozen=True)
class OverlapRules:
    """All settings from which the overlap of an item follows."""

    dataset: int
    streams: dict[str, int] = field(default_factory=dict)  # stream → overlap
    labels: dict[int, int] = field(default_factory=dict)  # label id → least overlap, if it is above 1

    def overlap_of(self, stream: str, *, predicted: int | None = None, answers: Iterable[int] = ()) -> int:
        """Return the overlap of an item.

        predicted: the id of the predicted label. It is ignored for blind streams, because nothing about a
        blind image may depend on its prediction.
        answers: the ids of labels that were given as answers.
        """
        if stream not in OVERLAP_STREAMS:
            return 1
        labels = [*answers, *([predicted] if predicted is not None and stream not in BLIND_STREAMS else [])]
        least = max((self.labels.get(label, 1) for label in labels), default=1)
        return max(self.streams.get(stream, self.dataset), least)


def overlap_rules(dataset: Dataset) -> OverlapRules:
    """Return the overlap settings of a dataset."""
    streams = StreamOverlap.objects.filter(dataset=dataset).values_list("stream", "overlap")
    least = {label.pk: least_overlap(dataset, label) for label in active_labels(dataset)}
    return OverlapRules(dataset.overlap, dict(streams), {pk: n for pk, n in least.items() if n > 1})
