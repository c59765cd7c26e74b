"""Queries of the grid review: the waiting images by predicted label, and their order on a page."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _

from mekiki.accounts.models import User
from mekiki.config.compiled import run_prepared
from mekiki.datasets.models import Dataset, Image
from mekiki.labeling.selectors import active_labels
from mekiki.learning.models import Head, Prediction
from mekiki.review.blinding import hidden_condition
from mekiki.review.empty_queue import EmptyQueue, empty_queue_reason
from mekiki.review.models import BLIND_STREAMS, QueueItem
from mekiki.review.selectors import waiting_count

if TYPE_CHECKING:
    from mekiki.review.services.grid import UndonePage

# The mean embedding of a label is computed from at most this many waiting images.
MEAN_OF = 1000


@dataclass(frozen=True)
class WaitingLabel:
    """A label and the number of images that a reviewer can see in the grid with it as the prediction."""

    label: int
    name: str
    waiting: int


def champion_of_grid(dataset: Dataset) -> Head | None:
    """Return the head in use without its weights, or None."""
    return Head.objects.filter(champion__dataset=dataset).only("version", "encoder_id").first()


def items_by_label(dataset: Dataset, head: Head) -> dict[tuple[int, str], dict[int, int]]:
    """Return (label id, name) → item id → image id of the waiting items that a grid may show.

    Items of the blind streams, images that hide their prediction, images without a prediction and archived
    labels are left out.
    """
    waiting = QueueItem.objects.filter(dataset=dataset, state=QueueItem.State.WAITING)
    waiting = waiting.exclude(stream__in=BLIND_STREAMS)
    images = waiting.values("image_id")
    predicted = dict(
        Prediction.objects.filter(head_id=head.pk, image__in=images).values_list("image_id", "label_id")
    )
    hidden = set(Image.objects.filter(hidden_condition(dataset), pk__in=images).values_list("pk", flat=True))
    names = dict(active_labels(dataset).values_list("pk", "name"))
    by_label: dict[tuple[int, str], dict[int, int]] = {}
    for item, image in waiting.order_by("position", "pk").values_list("pk", "image_id"):
        label = predicted.get(image)
        if label in names and image not in hidden:
            by_label.setdefault((label, names[label]), {})[item] = image
    return by_label


def distances_from_mean(head: Head, images: list[int], of: list[int]) -> dict[int, float]:
    """Return image id → distance of its embedding from the mean embedding of the images `of`.

    The distance is 1 minus the cosine. Images without an embedding are left out.
    """
    sql = """
    WITH mean AS MATERIALIZED (
      SELECT avg(vector) AS vector FROM learning_embedding
      WHERE encoder_id = %(encoder)s AND image_id = ANY(%(pool)s)
    )
    SELECT e.image_id, e.vector <=> mean.vector FROM learning_embedding e, mean
    WHERE e.encoder_id = %(encoder)s AND e.image_id = ANY(%(images)s) AND mean.vector IS NOT NULL
    """
    # In the database, because a thousand vectors take longer to send than to compare.
    with run_prepared(sql, {"encoder": head.encoder_id, "pool": of[:MEAN_OF], "images": images}) as cursor:
        return dict(cursor.fetchall())


def empty_grid_reason(dataset: Dataset, user: User) -> EmptyQueue:
    """Return the reason why a reviewer gets no page of the grid."""
    head = champion_of_grid(dataset)
    shown = sum(len(items) for items in items_by_label(dataset, head).values()) if head else 0
    if waiting_count(dataset, user) > shown:
        return EmptyQueue(
            "not_in_grid",
            _(
                "The images that wait now are not shown in the grid, because no prediction may be shown for "
                "them or none exists. Judge them one at a time in the review station."
            ),
            "review",
            _("Review one at a time"),
        )
    return empty_queue_reason(dataset, user)


def describe_undo(page: "UndonePage") -> str:
    """Return what became of the images of a page whose answers were undone."""
    texts = []
    if page.returned:
        texts.append(_("Undone. The images are shown again: %(n)d.") % {"n": page.returned})
    else:
        texts.append(_("Undone. No image is shown again."))
    if page.ruled:
        texts.append(
            _("An adjudicator has ruled on images, and their labels stay: %(n)d.") % {"n": page.ruled}
        )
    if page.elsewhere:
        texts.append(_("Other reviewers have images, or have decided them: %(n)d.") % {"n": page.elsewhere})
    if page.kept:
        texts.append(_("An admin has acted on images, and your answers stay: %(n)d.") % {"n": page.kept})
    return " ".join(texts)
