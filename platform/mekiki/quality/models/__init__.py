"""Quality of the labels: studies of reviewers, agreement, and certificates."""

from mekiki.quality.models.studies import (
    Study,
    StudyAnswer,
    StudyImage,
    StudyLabel,
    StudyReport,
    StudyReportFile,
    StudyReviewer,
)

__all__ = [
    "Study",
    "StudyAnswer",
    "StudyImage",
    "StudyLabel",
    "StudyReport",
    "StudyReportFile",
    "StudyReviewer",
]
