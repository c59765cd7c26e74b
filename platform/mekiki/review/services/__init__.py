"""All writes of the review: the queue, leases, answers, undos, and confirmed labels."""

from mekiki.review.services.confirmed import retire_audit, update_confirmed_label
from mekiki.review.services.correcting import correct_label, request_recheck, take_back_correction
from mekiki.review.services.decisions import answer
from mekiki.review.services.following import next_after_answer, next_or_reason
from mekiki.review.services.grid import (
    MAX_TILES,
    MIN_TILES,
    GridPage,
    TileAnswer,
    TileResult,
    answer_page,
    needed_ms,
    next_page,
    undo_page,
)
from mekiki.review.services.leases import (
    LeasedItem,
    held_item,
    next_items,
    release,
    release_expired_leases,
    renew,
)
from mekiki.review.services.own_corrections import correct_own_answer
from mekiki.review.services.preferences import save_preferences
from mekiki.review.services.putting_back import return_to_queue
from mekiki.review.services.queue import fill_queue, request_refill, request_training_if_due
from mekiki.review.services.references import add_reference_image, remove_reference_image
from mekiki.review.services.resolving import answer_unresolved, send_to_reviewer, set_aside
from mekiki.review.services.undoing import undo

__all__ = [
    "MAX_TILES",
    "MIN_TILES",
    "GridPage",
    "LeasedItem",
    "TileAnswer",
    "TileResult",
    "add_reference_image",
    "answer",
    "answer_page",
    "answer_unresolved",
    "correct_label",
    "correct_own_answer",
    "fill_queue",
    "held_item",
    "needed_ms",
    "next_after_answer",
    "next_items",
    "next_or_reason",
    "next_page",
    "release",
    "release_expired_leases",
    "remove_reference_image",
    "renew",
    "request_recheck",
    "request_refill",
    "request_training_if_due",
    "retire_audit",
    "return_to_queue",
    "save_preferences",
    "send_to_reviewer",
    "set_aside",
    "take_back_correction",
    "undo",
    "undo_page",
    "update_confirmed_label",
]
