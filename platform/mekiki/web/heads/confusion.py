"""Confusion matrices as tables: rows are the labels given by reviewers, columns the predictions."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from django.urls import reverse

from mekiki.labeling.models import Label
from mekiki.learning.models import Evaluation, Head

# A larger table is not readable: it shows the labels with the most mistakes, and the file has all labels.
MAX_TABLE_LABELS = 40
# From this number of columns on their names are vertical, so that the columns stay narrow.
UPRIGHT = 7
# Maximum number of mistakes listed before the table.
NAMED = 10
STEPS = 5

Matrix = Sequence[Sequence[int]]  # (L, L)


@dataclass(frozen=True)
class Cell:
    """One cell: the number of images, and a shade 0…STEPS by their share of the row."""

    count: int
    step: int
    right: bool
    url: str


@dataclass(frozen=True)
class Row:
    """A label as reviewers gave it."""

    name: str
    total: int
    cells: list[Cell]


@dataclass(frozen=True)
class Mistake:
    """Images of one label for which the head predicted another label."""

    truth: str
    predicted: str
    count: int
    share: float
    url: str


@dataclass(frozen=True)
class Confusion:
    """A confusion matrix to show. `left_out` is the number of labels that are not in the table."""

    columns: list[str]
    rows: list[Row]
    mistakes: list[Mistake]
    wrong: int
    total: int
    left_out: int

    @property
    def upright(self) -> bool:
        return len(self.columns) >= UPRIGHT


def confusion_on_audit(
    evaluation: Evaluation | None, labels: dict[int, Label], slug: str = ""
) -> Confusion | None:
    """Return the confusion matrix on the audit sample.

    `slug` is the dataset's slug if the gallery can show the images of a cell, which is the case while this
    head is in use.
    """
    if evaluation is None:
        return None
    return _confusion(evaluation.report.confusion, evaluation.report.label_ids, labels, slug)


def confusion_on_reviewed(head: Head, labels: dict[int, Label]) -> Confusion | None:
    """Return the out-of-fold matrix on the reviewed labels. It does not estimate accuracy."""
    cross = head.metrics.cross_validated_on_reviewed_labels
    return _confusion(cross.confusion, head.label_ids, labels, "") if cross is not None else None


def _confusion(
    matrix: Matrix, label_ids: Sequence[int], labels: dict[int, Label], slug: str
) -> Confusion | None:
    """Return the confusion to show; None if there is no matrix or it is empty."""
    n = len(label_ids)
    if not matrix or len(matrix) != n or any(len(row) != n for row in matrix) or not any(map(any, matrix)):
        return None
    names = [labels[pk].name if pk in labels else "?" for pk in label_ids]
    totals = [sum(row) for row in matrix]

    def url(truth: int, predicted: int) -> str:
        pair = [labels.get(label_ids[truth]), labels.get(label_ids[predicted])]
        if not slug or any(label is None or label.archived_at for label in pair):
            return ""
        return (
            f"{reverse('images', args=[slug])}?"
            f"{urlencode({'confirmed': label_ids[truth], 'label': label_ids[predicted]})}"
        )

    wrong = [(t, s) for t in range(n) for s in range(n) if t != s and matrix[t][s]]
    wrong.sort(key=lambda pair: (-matrix[pair[0]][pair[1]], pair))
    shown = _shown(matrix, wrong, n)
    return Confusion(
        columns=[names[s] for s in shown],
        rows=[
            Row(
                names[t],
                totals[t],
                [
                    Cell(
                        matrix[t][s],
                        _step(matrix[t][s], totals[t]),
                        t == s,
                        url(t, s) if matrix[t][s] else "",
                    )
                    for s in shown
                ],
            )
            for t in shown
        ],
        mistakes=[
            Mistake(names[t], names[s], matrix[t][s], matrix[t][s] / totals[t], url(t, s))
            for t, s in wrong[:NAMED]
        ],
        wrong=sum(matrix[t][s] for t, s in wrong),
        total=sum(totals),
        left_out=n - len(shown),
    )


def _shown(matrix: Matrix, wrong: list[tuple[int, int]], n: int) -> list[int]:
    """Return the indices of the labels in the table, in ascending order."""
    if n <= MAX_TABLE_LABELS:
        return list(range(n))
    weight = [0] * n
    for t, s in wrong:
        weight[t] += matrix[t][s]
        weight[s] += matrix[t][s]
    return sorted(sorted(range(n), key=lambda i: (-weight[i], i))[:MAX_TABLE_LABELS])


def _step(count: int, total: int) -> int:
    """Return 0 for no image, else 1…STEPS by the share of the row."""
    return min(STEPS, 1 + count * STEPS // total) if count else 0
