"""The figures of heads and estimates: typed, versioned, and readable in every form that was ever stored."""

import json

import pytest
from django.db import connection

from mekiki.learning.models import Evaluation, Head
from mekiki.learning.reports import EvaluationReport, HeadMetrics
from tests.factories import EvaluationFactory, HeadFactory
from tests.head_metrics import METRICS

pytestmark = pytest.mark.django_db


def stored_json(table: str, column: str, pk: int) -> dict:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {column} FROM {table} WHERE id = %s", [pk])
        return json.loads(cursor.fetchone()[0])


def test_a_row_without_a_version_is_read_as_version_0() -> None:
    metrics = Head.objects.get(pk=HeadFactory(metrics=METRICS).pk).metrics
    assert isinstance(metrics, HeadMetrics) and metrics.version == 0
    cross = metrics.cross_validated_on_reviewed_labels
    assert cross is not None and cross.confusion == ((30, 2), (8, 30))
    assert cross.reliability.confidence == (None, 0.71, 0.96)
    assert [candidate.kind for candidate in metrics.candidates if candidate.chosen] == ["gaussian"]
    assert metrics.log_loss == 0.4 and metrics.gamma is None and metrics.long_prompts == ()


def test_a_new_row_is_stored_with_its_version_and_reads_the_same() -> None:
    metrics = HeadMetrics.current(**METRICS)
    row = HeadFactory(metrics=metrics)
    stored_metrics = stored_json("learning_head", "metrics", row.pk)
    assert stored_metrics["version"] == metrics.version == 1
    assert (
        stored_metrics["cross_validated_on_reviewed_labels"] == METRICS["cross_validated_on_reviewed_labels"]
    )
    again = Head.objects.get(pk=row.pk).metrics
    assert again == metrics and again.version == 1


def test_old_reports_are_read_without_the_figures_they_lack() -> None:
    old = {
        "labels": [{"name": "傷", "precision": {"k": 9, "n": 10, "low": 0.6, "high": 0.98, "value": 0.9}}],
        "without_label": 3,
    }
    report = Evaluation.objects.get(pk=EvaluationFactory(report=old).pk).report
    assert isinstance(report, EvaluationReport)
    assert (report.labels[0].precision.value, report.labels[0].recall.value) == (0.9, None)
    assert report.strata == () and report.macro_recall is None and report.unknown_label == 0


def test_reports_that_differ_only_in_their_version_are_equal() -> None:
    figures = {"label_ids": [1, 2], "confusion": [[3, 0], [1, 4]]}
    assert EvaluationReport.from_json(figures) == EvaluationReport.current(**figures)


def test_a_value_of_another_type_is_refused() -> None:
    with pytest.raises(ValueError, match="confusion"):
        EvaluationReport.current(confusion="none")
