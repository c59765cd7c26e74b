"""All writes of the quality app: studies, their answers and reports."""

from mekiki.quality.services.answers import record_answer
from mekiki.quality.services.reports import record_report
from mekiki.quality.services.studies import (
    cancel,
    create_study,
    finish,
    redraw,
    request_report,
    start,
)

__all__ = [
    "cancel",
    "create_study",
    "finish",
    "record_answer",
    "record_report",
    "redraw",
    "request_report",
    "start",
]
