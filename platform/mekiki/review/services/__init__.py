"""All writes of the review: the queue, leases, answers, undos, and confirmed labels."""

from mekiki.review.services.assignments import assign_part, remove_assignment
from mekiki.review.services.confirmed import retire_audit, update_confirmed_label
from mekiki.review.services.correcting import correct_label, request_recheck, take_back_correction
from mekiki.review.services.decisions import MIN_DISPLAY_MS, answer
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
from mekiki.review.services.putting_back import return_to_queue
from mekiki.review.services.queue import fill_queue, request_refill, request_training_if_due
from mekiki.review.services.references import add_reference_image, remove_reference_image
from mekiki.review.services.requalifying import (
    answer_question,
    begin_test,
    check_requalification,
    offer_test_again,
    waive_requalification,
)
from mekiki.review.services.resolving import answer_unresolved, send_to_reviewer, set_aside
from mekiki.review.services.undoing import undo

__all__ = [
    "MAX_TILES",
    "MIN_DISPLAY_MS",
    "MIN_TILES",
    "GridPage",
    "LeasedItem",
    "TileAnswer",
    "TileResult",
    "add_reference_image",
    "answer",
    "answer_page",
    "answer_question",
    "answer_unresolved",
    "assign_part",
    "begin_test",
    "check_requalification",
    "correct_label",
    "fill_queue",
    "held_item",
    "needed_ms",
    "next_after_answer",
    "next_items",
    "next_or_reason",
    "next_page",
    "offer_test_again",
    "release",
    "release_expired_leases",
    "remove_assignment",
    "remove_reference_image",
    "renew",
    "request_recheck",
    "request_refill",
    "request_training_if_due",
    "retire_audit",
    "return_to_queue",
    "send_to_reviewer",
    "set_aside",
    "take_back_correction",
    "undo",
    "undo_page",
    "update_confirmed_label",
    "waive_requalification",
]
