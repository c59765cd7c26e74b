"""Gold images: an admin marks images whose label is known, and ends them."""

from collections import defaultdict

from django.db import transaction
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.audit.services import record
from mekiki.config import clock
from mekiki.datasets.models import Dataset, Image
from mekiki.review.blinding import hidden_ids
from mekiki.review.errors import NotFoundForReviewerError, ReviewError
from mekiki.review.models import LABEL_KINDS, ConfirmedLabel, Decision, GoldImage, QueueItem, Stream
from mekiki.review.selectors import active_decisions
from mekiki.review.services.confirmed import first_by_reviewer

Source = GoldImage.Source
# The kind of an adjudicator's decision.
RULING = "rule"
# The most images that one act marks.
MOST_AT_ONCE = 500


@transaction.atomic
def mark_gold(*, dataset: Dataset, user: User, image_id: int, expert: bool = False) -> GoldImage:
    """Make an image with a known label a gold image, and return it.

    The label must be adjudicated, or chosen by all of several reviewers. Otherwise the admin confirms it with
    `expert`. The admin is then never asked about the image.

    Raises PermissionDenied if the user is not an admin. Raises NotFoundForReviewerError if the dataset has no
    such image. Raises ReviewError if the image has no label in use, must be judged blind, belongs to the
    audit sample or is a gold image already, or if its label is not known and `expert` is False.
    """
    require_role(user, dataset, Role.ADMIN)
    image = Image.objects.filter(dataset=dataset, pk=image_id).select_for_update(no_key=True).first()
    if image is None:
        raise NotFoundForReviewerError("unknown_image", _("There is no such image in this dataset."))
    confirmed = (
        ConfirmedLabel.objects.filter(image=image).select_related("label", "decision__item", "image").first()
    )
    if hidden_ids(dataset, [image.pk]):
        raise ReviewError(
            "blind",
            _("This image must be judged without seeing a label. It was not made a gold image."),
        )
    if confirmed is None or confirmed.label.archived_at is not None:
        raise ReviewError(
            "no_label",
            _("This image has no confirmed label in use. It was not made a gold image; judge it first."),
        )
    if _is_audited(confirmed):
        raise ReviewError(
            "audit_sample",
            _("This image belongs to the audit sample. It was not made a gold image; choose another image."),
        )
    if GoldImage.objects.filter(image=image, ended_at__isnull=True).exists():
        raise ReviewError("already_gold", _("This image is a gold image already. Nothing was changed."))
    source = known_sources([confirmed]).get(image.pk) or (Source.EXPERT if expert else None)
    if source is None:
        raise ReviewError(
            "not_known",
            _(
                "Only one reviewer decided this label. The image was not made a gold image; confirm the "
                "label yourself, or have it reviewed again."
            ),
        )
    return _create(dataset, user, confirmed, source)


def _is_audited(confirmed: ConfirmedLabel) -> bool:
    return confirmed.stream == Stream.AUDIT and not confirmed.in_training


def _create(dataset: Dataset, user: User, confirmed: ConfirmedLabel, source: Source) -> GoldImage:
    gold = GoldImage.objects.create(
        dataset=dataset,
        image=confirmed.image,
        label=confirmed.label,
        source=source,
        decision=confirmed.decision,
        created_by=user,
    )
    # Reviewers read the audit log, so the event does not name the image.
    record(kind="gold_image.added", actor=user, dataset=dataset, target=gold, data={"source": str(source)})
    return gold


def known_sources(labels: list[ConfirmedLabel]) -> dict[int, Source]:
    """Return image id → why the label is known, without labels that one reviewer alone decided.

    `labels` were read with their decision and its item.
    """
    ruled = {row.image_id: Source.RULING for row in labels if row.decision.kind == RULING}
    several = {
        row.decision.item_id: row
        for row in labels
        if row.image_id not in ruled and row.decision.item is not None and row.decision.item.overlap > 1
    }
    given: dict[int | None, list[Decision]] = defaultdict(list)
    for decision in active_decisions(item__in=list(several), kind__in=LABEL_KINDS).order_by("pk"):
        given[decision.item_id].append(decision)
    agreed = {}
    for item, row in several.items():
        first = first_by_reviewer(given[item])
        if len(first) > 1 and all(one.label_id == row.label_id for one in first):
            agreed[row.image_id] = Source.AGREEMENT
    return ruled | agreed


@transaction.atomic
def mark_known_as_gold(*, dataset: Dataset, user: User) -> int:
    """Make images with an adjudicated or unanimous label gold images, and return how many.

    The newest labels come first, at most MOST_AT_ONCE. Images of the audit sample, images that must be judged
    blind and gold images are left out. Raises PermissionDenied if the user is not an admin.
    """
    require_role(user, dataset, Role.ADMIN)
    # Locks the dataset, so that two admins do not mark the same image.
    Dataset.objects.select_for_update(no_key=True).only("pk").get(pk=dataset.pk)
    rows = ConfirmedLabel.objects.filter(dataset=dataset, label__archived_at__isnull=True)
    gold = GoldImage.objects.filter(dataset=dataset, ended_at__isnull=True)
    rows = rows.exclude(image__in=gold.values("image")).exclude(stream=Stream.AUDIT, in_training=False)
    candidates = rows.filter(decision__kind=RULING) | rows.filter(decision__item__overlap__gt=1)
    labels = list(
        candidates.select_related("image", "label", "decision__item").order_by("-decision_id")[
            : 4 * MOST_AT_ONCE
        ]
    )
    sources = known_sources(labels)
    hidden = hidden_ids(dataset, sources)
    chosen = [row for row in labels if row.image_id in sources and row.image_id not in hidden]
    for row in chosen[:MOST_AT_ONCE]:
        _create(dataset, user, row, sources[row.image_id])
    return len(chosen[:MOST_AT_ONCE])


@transaction.atomic
def end_gold(*, dataset: Dataset, user: User, gold_id: int) -> GoldImage:
    """Stop asking about a gold image, and return it. Earlier answers stay and are still compared with it.

    Raises PermissionDenied if the user is not an admin. Raises NotFoundForReviewerError if the dataset has no
    such gold image. Raises ReviewError if it was ended before.
    """
    require_role(user, dataset, Role.ADMIN)
    rows = GoldImage.objects.filter(dataset=dataset, pk=gold_id).select_related("image", "label")
    gold = rows.select_for_update(no_key=True, of=("self",)).first()
    if gold is None:
        raise NotFoundForReviewerError("unknown_gold", _("There is no such gold image in this dataset."))
    if gold.ended_at is not None:
        raise ReviewError("ended", _("This gold image was ended before. Nothing was changed."))
    gold.ended_at = clock.now()
    gold.save(update_fields=["ended_at"])
    # A reviewer who holds it now can still answer.
    waiting = QueueItem.objects.filter(gold=gold, state=QueueItem.State.WAITING)
    waiting.update(state=QueueItem.State.WITHDRAWN, finished_at=gold.ended_at)
    record(kind="gold_image.ended", actor=user, dataset=dataset, target=gold)
    return gold
