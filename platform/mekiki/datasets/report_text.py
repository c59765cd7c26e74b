"""The report of an import as lines of text, for commands."""

from collections.abc import Iterator

from django.utils.translation import gettext as _

from mekiki.datasets.models import ImportBatch, ImportProblem
from mekiki.datasets.problems import explain
from mekiki.datasets.selectors import outcome_counts, problems_after


def report_text(batch: ImportBatch, limit: int) -> Iterator[str]:
    """Yield the lines of the report, grouped by outcome, at most `limit` of each outcome."""
    for outcome, count in outcome_counts(batch).items():
        if not count:
            continue
        yield f"{ImportProblem.Outcome(outcome).label} ({count}):"
        for problem in problems_after(batch, limit=limit, outcome=outcome):
            text = explain(problem.code, problem.detail)
            yield f"  {problem.name}: {text.what} {text.advice}"
        if count > limit:
            yield _("  … and %(n)d more, on the import's page.") % {"n": count - limit}
