"""All writes of the review: the queue, leases, answers, undos, and confirmed labels."""

from mekiki.review.services.adjudicating import (
    add_ruled_image_to_guideline,
    recheck_doubted,
    rule,
    undo_ruling,
)
from mekiki.review.services.assignments import assign_part, remove_assignment
from mekiki.review.services.bulk_acts import ImageChoice, run_bulk_act, start_bulk_act
from mekiki.review.services.confirmed import retire_audit, update_confirmed_label
from mekiki.review.services.correcting import correct_label, request_recheck, take_back_correction
from mekiki.review.services.correcting_selection import correct_selection
from mekiki.review.services.decisions import answer
from mekiki.review.services.ending_leases import release, release_expired_leases, renew
from mekiki.review.services.following import next_after_answer, next_or_reason, page_after_answers
from mekiki.review.services.gold import end_gold, mark_gold, mark_known_as_gold
from mekiki.review.services.gold_selection import end_gold_of_selection, mark_selection_as_gold
from mekiki.review.services.grid import (
    MAX_TILES,
    MIN_TILES,
    GridPage,
    TileAnswer,
    TileResult,
    needed_ms,
    next_page,
    undo_page,
)
from mekiki.review.services.grid_answers import answer_page
from mekiki.review.services.leases import LeasedItem, held_item, next_items
from mekiki.review.services.overlap import set_overlaps
from mekiki.review.services.own_corrections import correct_own_answer
from mekiki.review.services.preferences import save_preferences
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
from mekiki.review.services.saved_views import delete_view, save_view
from mekiki.review.services.training_views import train_without_images, train_without_view
from mekiki.review.services.undoing import undo
from mekiki.review.services.why import (
    PanelContent,
    delete_old_panels,
    open_panel,
    panel_content,
    request_heat_map,
)

__all__ = [
    "MAX_TILES",
    "MIN_TILES",
    "GridPage",
    "ImageChoice",
    "LeasedItem",
    "PanelContent",
    "TileAnswer",
    "TileResult",
    "add_reference_image",
    "add_ruled_image_to_guideline",
    "answer",
    "answer_page",
    "answer_question",
    "answer_unresolved",
    "assign_part",
    "begin_test",
    "check_requalification",
    "correct_label",
    "correct_own_answer",
    "correct_selection",
    "delete_old_panels",
    "delete_view",
    "end_gold",
    "end_gold_of_selection",
    "fill_queue",
    "held_item",
    "mark_gold",
    "mark_known_as_gold",
    "mark_selection_as_gold",
    "needed_ms",
    "next_after_answer",
    "next_items",
    "next_or_reason",
    "next_page",
    "offer_test_again",
    "open_panel",
    "page_after_answers",
    "panel_content",
    "recheck_doubted",
    "release",
    "release_expired_leases",
    "remove_assignment",
    "remove_reference_image",
    "renew",
    "request_heat_map",
    "request_recheck",
    "request_refill",
    "request_training_if_due",
    "retire_audit",
    "return_to_queue",
    "rule",
    "run_bulk_act",
    "save_preferences",
    "save_view",
    "send_to_reviewer",
    "set_aside",
    "set_overlaps",
    "start_bulk_act",
    "take_back_correction",
    "train_without_images",
    "train_without_view",
    "undo",
    "undo_page",
    "undo_ruling",
    "update_confirmed_label",
    "waive_requalification",
]
