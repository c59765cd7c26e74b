"""Confusion matrices as tables: rows are what people predicted, columns what the head predicted."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from mekiki.labeling.models import Label
from mekiki.learning.models import Evaluation, Head

# Beyond this a table is no longer read: the labels that take part in most mistakes are shown, the file has all.
SHOWN = 40
# Names of columns stand upright from here on, so that the columns stay narrow.
UPRIGHT = 7
# The mistakes that are named before the table.
NAMED = 10
STEPS = 5


@dataclass(frozen=True)
class Cell:
    """How many images of a row were predicted to be a column; step 0…STEPS shades it by its share of the row."""

    count: int
    step: int
    right: bool
    url: str


@dataclass(frozen=True)
class Row:
    """A label as people predicted it."""

    name: str
    total: int
    cells: list[Cell]


@dataclass(frozen=True)
class Mistake:
    """Images of one label that the head called another."""

    truth: str
    predicted: str
    count: int
    share: float
    url: str


@dataclass(frozen=True)
class Confusion:
    """A matrix to show. left_out: labels that have no place in the table."""

    columns: list[str]
    rows: list[Row]
    mistakes: list[Mistake]
    wrong: int
    total: int
    left_out: int

    @property
    def upright(self) -> bool:
        return len(self.columns) >= UPRIGHT


def of_audit(evaluation: Evaluation | None, labels: dict[int, Label], slug: str = "") -> Confusion | None:
    """The matrix on the audit sample. slug: of the dataset where the gallery can show a cell's images, which it can
    while this head is the one in use."""
    if evaluation is None:
        return None
    return _confusion(evaluation.report.get("confusion"), evaluation.report.get("label_ids"), labels, slug)


def of_reviewed(head: Head, labels: dict[int, Label]) -> Confusion | None:
    """The matrix on the reviewed labels, out of fold: no estimate of accuracy."""
    cross = head.metrics.get("cross_validated_on_reviewed_labels") or {}
    return _confusion(cross.get("confusion"), head.label_ids, labels, "")


def _confusion(matrix: Any, label_ids: Any, labels: dict[int, Label], slug: str) -> Confusion | None:
    """None where there is no matrix, or nothing in it."""
    n = len(label_ids or [])
    if not matrix or len(matrix) != n or any(len(row) != n for row in matrix) or not any(map(any, matrix)):
        return None
    names = [labels[pk].name if pk in labels else "?" for pk in label_ids]
    totals = [sum(row) for row in matrix]

    def url(truth: int, predicted: int) -> str:
        pair = [labels.get(label_ids[truth]), labels.get(label_ids[predicted])]
        if not slug or any(label is None or label.archived_at for label in pair):
            return ""
        return f"{reverse('images', args=[slug])}?{urlencode({'confirmed': label_ids[truth], 'label': label_ids[predicted]})}"

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


def _shown(matrix: list[list[int]], wrong: list[tuple[int, int]], n: int) -> list[int]:
    """The labels that have a place in the table, in their own order."""
    if n <= SHOWN:
        return list(range(n))
    weight = [0] * n
    for t, s in wrong:
        weight[t] += matrix[t][s]
        weight[s] += matrix[t][s]
    return sorted(sorted(range(n), key=lambda i: (-weight[i], i))[:SHOWN])


def _step(count: int, total: int) -> int:
    """0 for none, else 1…STEPS by the share of the row."""
    return min(STEPS, 1 + count * STEPS // total) if count else 0
