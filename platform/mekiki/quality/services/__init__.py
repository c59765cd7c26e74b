"""All writes of the quality app: studies, their answers and reports."""

from mekiki.quality.services.answers import Progress, next_images, progress_of, record_answer
from mekiki.quality.services.reports import record_report
from mekiki.quality.services.studies import (
    cancel,
    create_study,
    finish,
    possible_reviewers,
    redraw,
    request_report,
    start,
)

__all__ = [
    "Progress",
    "cancel",
    "create_study",
    "finish",
    "next_images",
    "possible_reviewers",
    "progress_of",
    "record_answer",
    "record_report",
    "redraw",
    "request_report",
    "start",
]
