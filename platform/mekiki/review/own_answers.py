"""A reviewer's own last answers, as the history of the station shows them.

A row shows what was on the screen at the time of the answer, and nothing else: `Decision.shown` of a blind
item has no prediction. The present label of a blind item is left out, because it could reveal a known answer.
"""

from dataclasses import dataclass

from mekiki.accounts.models import User
from mekiki.config.keyset import page_by
from mekiki.datasets.models import Dataset
from mekiki.review.blinding import neutral_name, set_shown_attributes
from mekiki.review.models import ConfirmedLabel, Decision
from mekiki.review.selectors import active_decisions

# The answers that a reviewer can see and correct in the station.
LAST = 100
KINDS = (Decision.Kind.CONFIRM, Decision.Kind.CORRECT, Decision.Kind.SKIP, Decision.Kind.FLAG)


@dataclass(frozen=True)
class OwnAnswer:
    """One answer with its image.

    name: the file name, or a neutral name for a blind item. label_now: the name of the label that the image
    has now, if it is another one by another decision; empty for a blind item.
    """

    decision: Decision
    name: str
    label_now: str


def oldest_answer(dataset: Dataset, user: User) -> int | None:
    """Return the id of the oldest of the reviewer's last answers, or None if there are fewer than LAST."""
    rows = active_decisions(user=user, dataset=dataset, kind__in=KINDS).order_by("-id")
    return rows.values_list("pk", flat=True)[LAST - 1 : LAST].first()


def own_answers(
    dataset: Dataset, user: User, *, before: int | None, size: int
) -> tuple[list[OwnAnswer], int | None]:
    """Return one page of the reviewer's last answers, newest first, and the key of the next page or None."""
    rows = active_decisions(user=user, dataset=dataset, kind__in=KINDS).select_related("image", "label")
    oldest = oldest_answer(dataset, user)
    if oldest is not None:
        rows = rows.filter(pk__gte=oldest)
    page, following = page_by(rows, "pk", size, after=before, descending=True)
    return describe_answers(dataset, page), following


def name_of_own_answer(decision: Decision) -> str:
    """Return the name of an image that its reviewer did not judge blind.

    A page of the grid showed the names of all its images. If the history hid a name now, this would tell a
    gold image of the page.
    """
    image = decision.image
    return image.name if decision.shown.keys() & {"grid", "staged", "history"} else image.shown_name  # type: ignore[attr-defined]


def describe_answers(dataset: Dataset, decisions: list[Decision]) -> list[OwnAnswer]:
    """Return the decisions with what the history may show of their images, with a fixed number of queries."""
    set_shown_attributes(dataset, [decision.image for decision in decisions])
    labels = {
        row.image_id: row
        for row in ConfirmedLabel.objects.filter(
            image__in=[decision.image_id for decision in decisions]
        ).select_related("label")
    }
    rows = []
    for decision in decisions:
        image, current = decision.image, labels.get(decision.image_id)
        blind = bool(decision.shown.get("blind"))
        other = current is not None and current.label_id != decision.label_id
        rows.append(
            OwnAnswer(
                decision=decision,
                name=neutral_name(image.sha256) if blind else name_of_own_answer(decision),
                label_now=current.label.name
                if current is not None and other and not blind and not image.hidden  # type: ignore[attr-defined]
                else "",
            )
        )
    return rows
