"""The report of one import, as a page and as a CSV file."""

from collections.abc import Iterator
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from mekiki.accounts.http import parse_number, user_of
from mekiki.config.csv_files import csv_response, safe_cell
from mekiki.config.keyset import take_page
from mekiki.datasets.access import import_for
from mekiki.datasets.models import ImportBatch, ImportProblem
from mekiki.datasets.problems import LIMIT_CODES, explain
from mekiki.datasets.selectors import latest_job, outcome_counts, problems_after
from mekiki.jobs.progress import job_status

LINES_A_PAGE = 100
LINES_A_GROUP = 25


@require_safe
def import_batch(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Show the progress and counts of one import, and its report lines, grouped by outcome.

    ?outcome=X shows the lines of one outcome in pages.
    """
    batch = import_for(user_of(request), slug, pk)
    outcome = request.GET.get("outcome", "")
    if outcome and outcome not in ImportProblem.Outcome.values:
        raise Http404
    job = latest_job(batch)
    if job is not None:
        job.dataset = batch.dataset
    context: dict[str, Any] = {
        "dataset": batch.dataset,
        "section": "images",
        "batch": batch,
        "job": job_status(job, batch.dataset.role) if job is not None else None,
        "outcome": outcome,
        "may_undo": batch.finished_at is not None and batch.undone_at is None and batch.added > 0,
        "not_stored": batch.problems.filter(code__in=LIMIT_CODES).count(),
    }
    counts = outcome_counts(batch)
    if outcome:
        after = request.GET.get("after", "")
        groups = [
            _group(batch, ImportProblem.Outcome(outcome), counts, LINES_A_PAGE, parse_number(after) or 0)
        ]
        here = f"?outcome={outcome}"
        context["newer_url"] = here if after else ""
        context["older_url"] = f"{here}&after={groups[0]['last']}" if groups[0]["more"] else ""
    else:
        groups = [
            _group(batch, kind, counts, LINES_A_GROUP) for kind in ImportProblem.Outcome if counts[kind]
        ]
    context["groups"] = groups
    return render(request, "datasets/import_batch.html", context)


def _group(
    batch: ImportBatch, outcome: ImportProblem.Outcome, counts: dict[str, int], limit: int, after: int = 0
) -> dict[str, Any]:
    rows, more = take_page(problems_after(batch, after, limit + 1, outcome), limit)
    return {
        "outcome": outcome,
        "title": outcome.label,
        "count": counts[outcome],
        "lines": [(row.name, explain(row.code, row.detail)) for row in rows],
        "more": more,
        "last": rows[-1].pk if rows else 0,
    }


@require_safe
def import_report(request: HttpRequest, slug: str, pk: int) -> StreamingHttpResponse:
    """Return all lines of the report as CSV (UTF-8 with a byte order mark, for Excel)."""
    batch = import_for(user_of(request), slug, pk)
    language = translation.get_language() or "en"
    return csv_response(f"import-{batch.pk}.csv", _csv_rows(batch, language))


def _csv_rows(batch: ImportBatch, language: str) -> Iterator[list[str]]:
    # The language is set for each piece, because a streamed response outlives the setting of the request.
    with translation.override(language):
        heads = [_("Outcome"), _("File"), _("What happened"), _("What to do"), _("Code")]
    yield heads
    after = 0
    while rows := list(problems_after(batch, after, 1000)):
        after = rows[-1].pk
        with translation.override(language):
            lines = [(row, explain(row.code, row.detail)) for row in rows]
            piece = [
                [row.get_outcome_display(), row.name, text.what, text.advice, row.code] for row, text in lines
            ]
        for cells in piece:
            yield [safe_cell(cell) for cell in cells]
