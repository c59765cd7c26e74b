"""The report of one import: lines about files, with a maximum number of lines for each code."""

from collections import Counter
from collections.abc import Iterable

from mekiki.datasets.importing.names import escape_unprintable
from mekiki.datasets.models import ImportBatch, ImportProblem
from mekiki.datasets.problems import ProblemError, ReportLine

# Maximum number of lines for one code. If there are more, one further line states their number.
MAX_LINES_OF_A_KIND = 10_000


class Report:
    """The report lines of one import.

    The same name and code give one line, even if the import runs again.
    """

    def __init__(self, batch: ImportBatch) -> None:
        self._batch = batch
        self._lines: Counter[str] = Counter()

    def add(self, lines: Iterable[tuple[str, ProblemError | ReportLine]]) -> None:
        """Store (name, problem) lines. Lines above the maximum are only counted."""
        rows = []
        for name, problem in lines:
            self._lines[problem.code] += 1
            if self._lines[problem.code] <= MAX_LINES_OF_A_KIND:
                rows.append(self._row(name, problem))
        ImportProblem.objects.bulk_create(rows, ignore_conflicts=True, batch_size=1000)

    def close(self) -> None:
        """Add a line for each code that has more lines than are listed."""
        for code, count in self._lines.items():
            if count > MAX_LINES_OF_A_KIND:
                problem = ProblemError("more_not_listed", count=count, limit=MAX_LINES_OF_A_KIND)
                ImportProblem.objects.bulk_create([self._row(code, problem)], ignore_conflicts=True)

    def _row(self, name: str, problem: ProblemError | ReportLine) -> ImportProblem:
        return ImportProblem(
            batch=self._batch,
            name=escape_unprintable(name),
            code=problem.code,
            outcome=problem.outcome,
            detail=problem.detail,
        )


class NumberSet:
    """A set of non-negative integers that lie close together, stored as one bit a number."""

    _BITS = 1 << 16

    def __init__(self) -> None:
        self._blocks: dict[int, bytearray] = {}

    def add(self, number: int) -> bool:
        """Add a number. Return whether it is new."""
        block = self._blocks.setdefault(number // self._BITS, bytearray(self._BITS // 8))
        at, bit = divmod(number % self._BITS, 8)
        new = not block[at] >> bit & 1
        block[at] |= 1 << bit
        return new
