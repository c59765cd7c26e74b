"""All writes of the review: the queue, leases, answers, undos, and confirmed labels."""

from mekiki.review.services.confirmed import retire_audit, update_confirmed_label
from mekiki.review.services.correcting import correct_label, request_recheck, take_back_correction
from mekiki.review.services.decisions import MIN_DISPLAY_MS, answer
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
from mekiki.review.services.putting_back import return_to_queue
from mekiki.review.services.queue import fill_queue, request_refill, request_training_if_due
from mekiki.review.services.undoing import undo

__all__ = [
    "MAX_TILES",
    "MIN_DISPLAY_MS",
    "MIN_TILES",
    "GridPage",
    "LeasedItem",
    "TileAnswer",
    "TileResult",
    "answer",
    "answer_page",
    "correct_label",
    "fill_queue",
    "held_item",
    "needed_ms",
    "next_items",
    "next_page",
    "release",
    "release_expired_leases",
    "renew",
    "request_recheck",
    "request_refill",
    "request_training_if_due",
    "retire_audit",
    "return_to_queue",
    "take_back_correction",
    "undo",
    "undo_page",
    "update_confirmed_label",
]
