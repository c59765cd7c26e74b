"""Images about which reviewers disagree, as adjudicators see them, and labels that a ruling puts in doubt."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext as _

from mekiki.accounts.models import User
from mekiki.config.keyset import page_by
from mekiki.datasets.models import Dataset, Image
from mekiki.learning import search as vectors
from mekiki.review.adjustments import adjustment_words
from mekiki.review.blinding import blind_items, hidden_condition, hidden_ids, set_shown_attributes
from mekiki.review.models import BLIND_STREAMS, ConfirmedLabel, Decision, QueueItem
from mekiki.review.selectors import active_decisions, openly_waiting_items

PAGE_SIZE = 48
NEAR = 12  # images with another label that are shown after a ruling
_ANSWERS = (Decision.Kind.CONFIRM, Decision.Kind.CORRECT)


def disputed_items(dataset: Dataset) -> QuerySet[QueueItem]:
    """Return the items whose reviewers disagree and that have no ruling."""
    return QueueItem.objects.filter(
        dataset=dataset, disputed_at__isnull=False, state=QueueItem.State.DONE
    ).select_related("image")


def disputes_of(dataset: Dataset, user: User, *, own: bool) -> QuerySet[QueueItem]:
    """Return the disputed items that the user has answered (`own`), or the other ones."""
    answered = Exists(active_decisions(item=OuterRef("pk"), user=user, kind__in=_ANSWERS))
    return disputed_items(dataset).filter(answered if own else ~answered)


@dataclass(frozen=True)
class DisputeCounts:
    """How many disputed images wait: those of other reviewers, and those that the user has answered."""

    others: int
    own: int


def dispute_counts(dataset: Dataset, user: User) -> DisputeCounts:
    """Return how many images wait for an adjudicator."""
    own = disputes_of(dataset, user, own=True).count()
    return DisputeCounts(disputed_items(dataset).count() - own, own)


@dataclass(frozen=True)
class Dispute:
    """A disputed item with the labels that were given: pairs (label name, number of reviewers)."""

    item: QueueItem
    labels: list[tuple[str, int]]


def dispute_page(
    dataset: Dataset, user: User, *, own: bool, after: int | None = None
) -> tuple[list[Dispute], int | None]:
    """Return one page of disputes, oldest first, and the key of the next page or None."""
    items, key = page_by(disputes_of(dataset, user, own=own), "pk", PAGE_SIZE, after=after)
    set_shown_attributes(dataset, [item.image for item in items])
    given: dict[int, Counter[str]] = {item.pk: Counter() for item in items}
    rows = active_decisions(item__in=list(given), kind__in=_ANSWERS).order_by("pk")
    for item, name in rows.values_list("item_id", "label__name"):
        given[item][name] += 1
    return [Dispute(item, given[item.pk].most_common()) for item in items], key


def next_dispute(dataset: Dataset, user: User, after: int = 0) -> QueueItem | None:
    """Return the next disputed item for an adjudicator, or None. Items that the user answered come last."""
    for own in (False, True):
        rows = disputes_of(dataset, user, own=own).order_by("pk")
        item = rows.filter(pk__gt=after).first() or rows.first()
        if item is not None:
            return item
    return None


def answers_of(item: QueueItem) -> list[Decision]:
    """Return the answers with a label about an item that were not undone, oldest first."""
    rows = active_decisions(item=item, kind__in=_ANSWERS).select_related("user", "label")
    return list(rows.order_by("pk"))


@dataclass(frozen=True)
class ComparedAnswer:
    """An answer beside the others. `reviewer` is a name, or a letter if names are hidden.

    `shown` and `kind` are empty if the image hides its prediction, because they could reveal it.
    """

    decision: Decision
    reviewer: str
    is_own: bool
    shown: dict[str, Any]
    kind: str
    adjusted: list[str]


def may_see_answers(dataset: Dataset, item: QueueItem, user: User, ruling: Decision | None) -> bool:
    """Return whether an adjudicator may see the answers and the ruling of an item.

    While an item waits for reviewers, its answers are not shown: an adjudicator can be one of them. The
    answers about an image that must be judged blind again are shown to nobody. `ruling` is the ruling on the
    item.
    """
    if is_disputed(item):
        return True
    if ruling is None:
        return False
    if not hidden_ids(dataset, [item.image_id]):
        return True
    # Within two minutes after a ruling on an audit image, its author can undo it.
    return ruling.user_id == user.pk and not blind_items(dataset).filter(image=item.image_id).exists()


def compared_answers(dataset: Dataset, item: QueueItem, user: User) -> list[ComparedAnswer]:
    """Return the answers about a disputed item as the adjudicator sees them."""
    shown = []
    hidden = bool(hidden_ids(dataset, [item.image_id]))
    for number, decision in enumerate(answers_of(item)):
        is_own = decision.user_id == user.pk
        letter = _("Reviewer %(letter)s") % {"letter": chr(ord("A") + number % 26)}
        name = letter if dataset.hide_names_from_adjudicators else decision.user.get_username()
        seen = {} if hidden and not decision.shown.get("blind") else decision.shown
        kind = "" if hidden else decision.get_kind_display()
        shown.append(ComparedAnswer(decision, name, is_own, seen, kind, adjustment_words(seen)))
    return shown


def ruling_of_item(item: QueueItem) -> Decision | None:
    """Return the ruling on an item that was not undone, or None."""
    rows = active_decisions(item=item, kind=Decision.Kind.RULE).select_related("user", "label", "image")
    return rows.order_by("-pk").first()


def is_disputed(item: QueueItem) -> bool:
    """Return whether the item waits for an adjudicator."""
    return item.disputed_at is not None and item.state == QueueItem.State.DONE


def is_blind(dataset: Dataset, item: QueueItem) -> bool:
    """Return whether the adjudicator must not see a prediction for the item."""
    return item.stream in BLIND_STREAMS or bool(hidden_ids(dataset, [item.image_id]))


@dataclass(frozen=True)
class Doubted:
    """An image with another confirmed label that is similar to the image of a ruling."""

    image: Image
    label: str
    similarity: float
    waiting: bool


@dataclass(frozen=True)
class Doubts:
    """The labels that a ruling puts in doubt, or the reason why there are none."""

    rows: list[Doubted]
    problem: str = ""


def doubted_by(dataset: Dataset, ruling: Decision, limit: int = NEAR) -> Doubts:
    """Return the images most similar to the image of a ruling that have another confirmed label.

    Images that must be judged blind are left out. If the image of the ruling is itself hidden, nothing is
    returned, because the labels of its neighbours could influence a second ruling.
    """
    if hidden_ids(dataset, [ruling.image_id]):
        return Doubts(
            [],
            _(
                "This image belongs to the audit sample. Similar images are shown two minutes after the "
                "ruling. Until then, you can undo the ruling without their influence."
            ),
        )
    encoder = vectors.serving_encoder(dataset)
    vector = vectors.vector_of(encoder, ruling.image) if encoder is not None else None
    if encoder is None or vector is None:
        return Doubts([], _("This image has no embedding, so similar images cannot be searched."))
    labelled = ConfirmedLabel.objects.filter(dataset=dataset).exclude(label=ruling.label_id)
    images = Image.objects.filter(dataset=dataset, pk__in=labelled.values("image"))
    images = images.exclude(pk=ruling.image_id).filter(~hidden_condition(dataset))
    try:
        nearest = vectors.nearest_images(encoder=encoder, vector=vector, images=images, limit=limit)
    except vectors.SearchTooSlowError:
        return Doubts([], _("The search for similar images took too long. Load the page again later."))
    similarity = dict(nearest.hits)
    rows: dict[int, Any] = {
        row.image_id: row
        for row in ConfirmedLabel.objects.filter(image__in=list(similarity)).select_related("image", "label")
    }
    set_shown_attributes(dataset, [row.image for row in rows.values()])
    waits = openly_waiting_items(dataset).filter(image__in=list(similarity))
    waiting = set(waits.values_list("image_id", flat=True))
    return Doubts(
        [
            Doubted(rows[pk].image, rows[pk].label.name, value, pk in waiting)
            for pk, value in similarity.items()
            if pk in rows
        ]
    )
