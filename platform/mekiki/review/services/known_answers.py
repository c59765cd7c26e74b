"""Known answers on pages of the grid: gold images of another label, put among the images of a page."""

import struct
from datetime import datetime
from random import SystemRandom
from typing import Any

from mekiki.accounts.models import User
from mekiki.datasets.models import Dataset
from mekiki.review.models import TEST_STREAMS, Lease, QueueItem
from mekiki.review.services.leases import FREE, lock_free_items, values_of_free

_random = SystemRandom()
# A gold image that waits for this reviewer, and whose known label is not the label of the page.
_FOREIGN = """ AND q.assigned_to_id = %(user)s AND q.stream = 'gold' AND EXISTS (
    SELECT FROM review_goldimage g WHERE g.id = q.gold_id AND g.ended_at IS NULL AND g.label_id <> %(label)s
  )"""


def lock_known_answers(
    dataset: Dataset, user: User, now: datetime, label: int, count: int
) -> list[QueueItem]:
    """Lock and return the gold images for a new page of `count` images, on average `gold_share` of them.

    They are drawn from the gold images that wait for the reviewer anyway, so they cost no further reviews.
    Nothing is queried if no gold image is wanted.
    """
    wanted = sum(_random.random() < dataset.gold_share for _ in range(count))
    if not wanted:
        return []
    values = {**values_of_free(dataset, user, now, set()), "label": label}
    return lock_free_items(FREE + _FOREIGN, values, min(wanted, count - 1))


def shuffled(items: list[QueueItem]) -> list[QueueItem]:
    """Return the items in random order."""
    return _random.sample(items, len(items))


def stage(leases: list[Lease], label: int) -> None:
    """Mark the leases of a page, and let gold images show its label with the confidence of other images.

    A low confidence, or none, would tell them from the others, and so would a number that another image has
    too, unless some have the same number anyway. `staged` records that the head did not predict
    this label for the image. A page without any other image stays without gold images.
    """
    for lease in leases:
        lease.shown = {**lease.shown, "on_page": True}
    normal = [
        lease
        for lease in leases
        if lease.item.stream not in TEST_STREAMS and lease.shown.get("label") == label
    ]
    for lease in leases:
        if lease.item.stream in TEST_STREAMS and normal:
            lease.shown = {
                **_like(normal),
                "stream": str(lease.item.stream),
                "propensity": lease.item.propensity,
                "staged": True,
            }


def _like(normal: list[Lease]) -> dict[str, Any]:
    """Return what one of the leases shows, with a confidence between those of two leases."""
    shown = _random.choice(normal).shown
    confidences = [lease.shown["confidence"] for lease in normal]
    if len(set(confidences)) < len(confidences):
        return shown
    own, other = shown["confidence"], _random.choice(normal).shown["confidence"]
    # With one image, or twice the same one, a number near it.
    other = own * 0.98 if other == own else other
    confidence = _as_score(own + (other - own) * (0.25 + _random.random() / 2))
    runner_up = shown.get("runner_up_confidence")
    if runner_up is not None:
        rest = (1 - confidence) / (1 - own) if own < 1 else 1.0
        runner_up = round(min(runner_up * rest, confidence), 6)
    return {**shown, "confidence": confidence, "runner_up_confidence": runner_up}


def _as_score(number: float) -> float:
    """Return the nearest 32-bit number, because confidences are (workers/heads/scoring.py)."""
    return float(struct.unpack("f", struct.pack("f", number))[0])
