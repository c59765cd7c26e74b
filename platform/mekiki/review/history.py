"""The history of decisions about one image."""

from dataclasses import dataclass

from mekiki.accounts.models import User
from mekiki.datasets.models import Image
from mekiki.review.adjustments import adjustment_words
from mekiki.review.models import LABEL_KINDS, ConfirmedLabel, Decision, QueueItem, Stream
from mekiki.review.selectors import active_decisions, without_tests
from mekiki.review.streams import stream_words


@dataclass(frozen=True)
class HistoryEntry:
    """One decision in the history of an image.

    in_use: the confirmed label follows from this decision.
    adjusted: how the picture was adjusted on the screen, in words; empty for the original.
    """

    decision: Decision
    stream: str  # in words
    in_use: bool
    adjusted: list[str]


def history_of(image: Image, confirmed: ConfirmedLabel | None) -> list[HistoryEntry]:
    """Return all decisions about the image, oldest first."""
    rows = (
        Decision.objects.filter(image=image).select_related("user", "label", "superseded_by").order_by("pk")
    )
    in_use = confirmed.decision_id if confirmed is not None else None
    return [
        HistoryEntry(
            decision,
            stream_words(decision.shown.get("stream", "")),
            decision.pk == in_use,
            adjustment_words(decision.shown),
        )
        for decision in rows
    ]


def correction_by(user: User, image: Image) -> Decision | None:
    """Return the user's correction of the image, or None.

    It must be the newest decision that was not undone, and the confirmed label must follow from it.
    """
    rows = without_tests(active_decisions(image=image))
    newest = rows.select_related("item").order_by("-pk").first()
    if newest is None or newest.user_id != user.pk or newest.kind not in LABEL_KINDS or newest.item is None:
        return None
    if newest.item.stream != Stream.RECHECK or newest.item.state != QueueItem.State.DONE:
        return None
    return newest if ConfirmedLabel.objects.filter(image=image, decision=newest).exists() else None
