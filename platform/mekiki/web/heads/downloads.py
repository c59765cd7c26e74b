"""Downloads of a head: its training labels and its confusion matrix, streamed with constant memory."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from django.http import Http404, HttpRequest, StreamingHttpResponse
from django.views.decorators.http import require_safe

from mekiki.accounts.http import user_of
from mekiki.config.csv_files import csv_response, safe_cell, utc
from mekiki.labeling.models import Label
from mekiki.learning.access import head_for
from mekiki.learning.accuracy import COUNT_COLUMNS, changes_since, counts_of, unknown_labels
from mekiki.learning.models import Head
from mekiki.learning.selectors import evaluation_of
from mekiki.review.audit_counts import audit_counts
from mekiki.review.blinding import hidden_condition, hidden_ids, neutral_name
from mekiki.review.models import Decision, ImportedLabel

CHUNK = 2000  # rows whose decisions are loaded in one query
UNKNOWN = "label unknown to the head, counts as wrong"
TRAINING_COLUMNS = ("image_sha256", "file_name", "label", "decided_by", "decided_at", "decision", "kind")


@require_safe
def training_labels(request: HttpRequest, slug: str, version: int) -> StreamingHttpResponse:
    """Download the training labels of a head: image, label, and who decided it, when and how."""
    dataset, head = head_for(user_of(request), slug, version)
    return csv_response(f"{dataset.slug}-head-{head.version}-training-labels.csv", _training_rows(head))


def _training_rows(head: Head) -> Iterator[tuple[Any, ...]]:
    """Yield TRAINING, then one row per label and one per further decision about an image.

    The cells of a decision that is not on record are empty.
    """
    yield TRAINING_COLUMNS
    condition = hidden_condition(head.dataset)
    stored = (
        head.training_labels.order_by("image_id")
        .values_list(
            *("image_id", "image__sha256", "image__name", "label__name", "decision_id", "imported", "others")
        )
        .iterator(chunk_size=CHUNK)
    )
    while chunk := list(islice(stored, CHUNK)):
        numbers = [pk for row in chunk for pk in (*(() if row[5] else (row[4],)), *row[6])]
        came = _imported_facts([row[4] for row in chunk if row[5]])
        wanted = Decision.objects.filter(pk__in=numbers, dataset_id=head.dataset_id)
        decisions = {
            pk: (
                safe_cell(user),
                utc(at),
                kind,
                label_name,
            )
            for pk, user, at, kind, label_name in wanted.values_list(
                "pk", "user__username", "created_at", "kind", "label__name"
            )
        }
        blind = hidden_ids(head.dataset, [row[0] for row in chunk], condition)
        for image, sha256, name, label, decision, imported, others in chunk:
            name = neutral_name(sha256) if image in blind else name
            for number in (decision, *others):
                facts = came if imported and number == decision else decisions
                user, at, kind, label_name = facts.get(number, ("", "", "", ""))
                shown = label if number == decision else label_name
                yield sha256, safe_cell(name), safe_cell(shown or ""), user, at, number, kind


def _imported_facts(ids: list[int]) -> dict[int, tuple[str, str, str, str]]:
    """Return id of an imported label → (source, time, "imported", "")."""
    rows = ImportedLabel.objects.filter(pk__in=ids).values_list(
        "pk", "name__batch__label_source", "created_at"
    )
    return {pk: (safe_cell(source), utc(at), "imported", "") for pk, source, at in rows}


@require_safe
def confusions(request: HttpRequest, slug: str, version: int) -> StreamingHttpResponse:
    """Download the confusion matrix on the audit sample, one line per pair of labels that occurs."""
    dataset, head = head_for(user_of(request), slug, version)
    evaluation = evaluation_of(head)
    now = audit_counts(dataset)
    if evaluation is None or not evaluation.report.confusion:
        raise Http404
    matrix, ids = evaluation.report.confusion, evaluation.report.label_ids
    names = dict(Label.objects.filter(pk__in=ids).values_list("pk", "name"))

    def rows() -> Iterator[tuple[Any, ...]]:
        # The last rows count the images outside the matrix, with the reason in the fourth column.
        yield "people_said", "head_said", "images", "note"
        for truth, row in zip(ids, matrix, strict=True):
            for predicted, n in zip(ids, row, strict=True):
                if n:
                    yield safe_cell(names.get(truth, "?")), safe_cell(names.get(predicted, "?")), n, ""
        if unknown := unknown_labels(evaluation):
            yield "", "", unknown, UNKNOWN
        counts, since = counts_of(evaluation), changes_since(evaluation, now)
        for name in COUNT_COLUMNS:
            if n := getattr(counts, name):
                yield "", "", n, name
        for name in COUNT_COLUMNS:
            if n := getattr(since, name):
                yield "", "", n, f"{name} since stated"

    return csv_response(f"{dataset.slug}-head-{head.version}-confusion.csv", rows())
