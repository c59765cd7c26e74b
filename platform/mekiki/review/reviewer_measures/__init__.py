"""Measures of reviewers: decisions, pace, and agreement with known answers, with others and with the head.

`measures_of` returns all measures of a reviewer for a period. docs/how-to/reviewers.md explains them.
"""

from mekiki.review.reviewer_measures.figures import LEAST, Median, ModelAgreement, Share
from mekiki.review.reviewer_measures.known import (
    GoldAnswer,
    GoldCounts,
    gold_answers,
    gold_counts,
    gold_shares,
    known_images,
    period_of,
    period_with_newest,
    repeat_share,
)
from mekiki.review.reviewer_measures.reviewer import PAUSE, Measures, measures_of, since_of
from mekiki.review.reviewer_measures.team import PAGE_SIZE, Summary, summaries

__all__ = [
    "LEAST",
    "PAGE_SIZE",
    "PAUSE",
    "GoldAnswer",
    "GoldCounts",
    "Measures",
    "Median",
    "ModelAgreement",
    "Share",
    "Summary",
    "gold_answers",
    "gold_counts",
    "gold_shares",
    "known_images",
    "measures_of",
    "period_of",
    "period_with_newest",
    "repeat_share",
    "since_of",
    "summaries",
]
