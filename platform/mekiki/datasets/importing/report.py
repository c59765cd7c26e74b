"""The report of one import: lines about files, bounded in number for each kind."""

from collections import Counter
from collections.abc import Iterable

from mekiki.datasets.importing.names import escaped
from mekiki.datasets.models import ImportBatch, ImportProblem
from mekiki.datasets.problems import Note, ProblemError

# Lines listed of one kind; above it, one line states the full number.
MAX_LINES_OF_A_KIND = 10_000


class Report:
    """Writes lines of a report. The same name and code make one line, also when an import runs again."""

    def __init__(self, batch: ImportBatch) -> None:
        self._batch = batch
        self._lines: Counter[str] = Counter()

    def add(self, lines: Iterable[tuple[str, ProblemError | Note]]) -> None:
        """Store (name, problem) lines; those above the bound are only counted."""
        rows = []
        for name, problem in lines:
            self._lines[problem.code] += 1
            if self._lines[problem.code] <= MAX_LINES_OF_A_KIND:
                rows.append(self._row(name, problem))
        ImportProblem.objects.bulk_create(rows, ignore_conflicts=True, batch_size=1000)

    def close(self) -> None:
        """Add a line for each kind that has more lines than are listed."""
        for code, count in self._lines.items():
            if count > MAX_LINES_OF_A_KIND:
                problem = ProblemError("more_not_listed", count=count, limit=MAX_LINES_OF_A_KIND)
                ImportProblem.objects.bulk_create([self._row(code, problem)], ignore_conflicts=True)

    def _row(self, name: str, problem: ProblemError | Note) -> ImportProblem:
        return ImportProblem(
            batch=self._batch,
            name=escaped(name),
            code=problem.code,
            outcome=problem.outcome,
            detail=problem.detail,
        )


class NumberSet:
    """A set of whole numbers that lie close together: one bit a number."""

    _BITS = 1 << 16

    def __init__(self) -> None:
        self._blocks: dict[int, bytearray] = {}

    def add(self, number: int) -> bool:
        """Put a number in. Returns whether it is new."""
        block = self._blocks.setdefault(number // self._BITS, bytearray(self._BITS // 8))
        at, bit = divmod(number % self._BITS, 8)
        new = not block[at] >> bit & 1
        block[at] |= 1 << bit
        return new
