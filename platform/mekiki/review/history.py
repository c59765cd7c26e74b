"""The decisions about one image, and what follows from each."""

from dataclasses import dataclass
from typing import Any

from mekiki.datasets.models import Image
from mekiki.review.models import ConfirmedLabel, Decision, QueueItem, Stream
from mekiki.review.selectors import standing
from mekiki.review.streams import stream_words

LABEL_KINDS = (Decision.Kind.CONFIRM, Decision.Kind.CORRECT)


@dataclass(frozen=True)
class Past:
    """A decision of an image's history. in_use: the confirmed label follows from it."""

    decision: Decision
    stream: str  # in words
    in_use: bool


def history_of(image: Image, confirmed: ConfirmedLabel | None) -> list[Past]:
    """Every decision about the image, oldest first."""
    rows = (
        Decision.objects.filter(image=image).select_related("user", "label", "superseded_by").order_by("pk")
    )
    in_use = confirmed.decision_id if confirmed is not None else None
    return [
        Past(decision, stream_words(decision.shown.get("stream", "")), decision.pk == in_use)
        for decision in rows
    ]


def correction_by(user: Any, image: Image) -> Decision | None:
    """The user's own recheck of the image, if it is the newest decision that stands and the label follows from it."""
    newest = standing(image=image).select_related("item").order_by("-pk").first()
    if newest is None or newest.user_id != user.pk or newest.kind not in LABEL_KINDS or newest.item is None:
        return None
    if newest.item.stream != Stream.RECHECK or newest.item.state != QueueItem.State.DONE:
        return None
    return newest if ConfirmedLabel.objects.filter(image=image, decision=newest).exists() else None
