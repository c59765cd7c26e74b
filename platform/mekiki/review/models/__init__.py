"""Tables of the review: the queue, leases, decisions, confirmed labels, and what helps reviewers."""

from mekiki.review.models.decisions import (
    LABEL_KINDS,
    LABELLING_KINDS,
    AuditRetirement,
    ConfirmedLabel,
    Decision,
)
from mekiki.review.models.gold import GoldImage
from mekiki.review.models.imported import ImportedLabel, ImportedName
from mekiki.review.models.queue import Lease, QueueItem, StreamOverlap
from mekiki.review.models.references import ReferenceImage
from mekiki.review.models.reviewers import Assignment, Requalification, RequalificationQuestion
from mekiki.review.models.selections import BulkAct, ExcludedImage, ImageTag, SavedView, Tag
from mekiki.review.models.streams import (
    AUDIT_UNDO_PERIOD,
    BLIND_STREAMS,
    FLAG_REASONS,
    OVERLAP_STREAMS,
    SKIP_REASONS,
    TEST_STREAMS,
    Reason,
    Stream,
)
from mekiki.review.models.why import WhyPanel
from mekiki.review.preferences import ReviewPreferences

__all__ = [
    "AUDIT_UNDO_PERIOD",
    "BLIND_STREAMS",
    "FLAG_REASONS",
    "LABELLING_KINDS",
    "LABEL_KINDS",
    "OVERLAP_STREAMS",
    "SKIP_REASONS",
    "TEST_STREAMS",
    "Assignment",
    "AuditRetirement",
    "BulkAct",
    "ConfirmedLabel",
    "Decision",
    "ExcludedImage",
    "GoldImage",
    "ImageTag",
    "ImportedLabel",
    "ImportedName",
    "Lease",
    "QueueItem",
    "Reason",
    "ReferenceImage",
    "Requalification",
    "RequalificationQuestion",
    "ReviewPreferences",
    "SavedView",
    "Stream",
    "StreamOverlap",
    "Tag",
    "WhyPanel",
]
