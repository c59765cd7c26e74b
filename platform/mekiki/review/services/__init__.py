"""All writes of the review: the queue, leases, answers, undos, and confirmed labels."""

from mekiki.review.services.confirmed import derive, retire_audit
from mekiki.review.services.correcting import ask_again, correct_label, take_back_correction
from mekiki.review.services.decisions import SEEN_AFTER, answer
from mekiki.review.services.leases import (
    LeasedItem,
    held_item,
    next_items,
    release,
    release_expired_leases,
    renew,
)
from mekiki.review.services.putting_back import put_back
from mekiki.review.services.queue import ask_for_refill, ask_for_training, fill_queue
from mekiki.review.services.undoing import undo

__all__ = [
    "SEEN_AFTER",
    "LeasedItem",
    "answer",
    "ask_again",
    "ask_for_refill",
    "ask_for_training",
    "correct_label",
    "derive",
    "fill_queue",
    "held_item",
    "next_items",
    "put_back",
    "release",
    "release_expired_leases",
    "renew",
    "retire_audit",
    "take_back_correction",
    "undo",
]
