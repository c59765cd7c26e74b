"""Grid review: pages of images with the same predicted label, answered and undone as a whole."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID, uuid5

from django.db import connection, transaction
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.config import clock
from mekiki.datasets.models import Dataset, Image
from mekiki.review.errors import InvalidAnswerError, ReviewError
from mekiki.review.grid import WaitingLabel, champion_of_grid, distances_from_mean, items_by_label
from mekiki.review.models import BLIND_STREAMS, Decision, Lease, QueueItem
from mekiki.review.selectors import active_decisions
from mekiki.review.services.decisions import answer, request_follow_up_work
from mekiki.review.services.leases import (
    FREE,
    LeasedItem,
    lease_items,
    lease_time,
    lock_free_items,
    values_of_free,
)
from mekiki.review.services.locks import lock_reviewer
from mekiki.review.services.undoing import record_undo

MIN_TILES, MAX_TILES = 6, 60
_ALLOWED = " AND q.id = ANY(%(allowed)s)"
_FREE_IDS = f"SELECT id FROM ({FREE} {_ALLOWED}) AS q"  # noqa: S608 - constants only


@dataclass(frozen=True)
class GridPage:
    """The images of a page, the least typical first, and the labels from which the reviewer can choose.

    `label` is None if no image waits in any label.
    """

    label: WaitingLabel | None
    tiles: list[LeasedItem]
    labels: list[WaitingLabel]  # the largest number of waiting images first
    ahead: list[Image] = field(default_factory=list)  # probably on the next page; not leased


@dataclass(frozen=True)
class TileAnswer:
    """A reviewer's answer about one image of a page. `kind` and `label` as in the service `answer`."""

    item: int
    lease: int
    kind: str
    label: int | None = None


@dataclass(frozen=True)
class TileResult:
    """What became of the answer about one image: the recorded decision, or the reason of the refusal."""

    item: int
    decision: Decision | None
    error: ReviewError | None = None


@dataclass(frozen=True)
class UndonePage:
    """The undos of a page, and the label that was predicted for its images."""

    undos: list[Decision]
    label: int | None
    duplicate: bool


@transaction.atomic
def next_page(*, dataset: Dataset, user: User, label_id: int | None = None, count: int = 24) -> GridPage:
    """Return up to `count` (6 to 60) leased items that the head in use predicts as one label.

    First come the items that the reviewer already holds, so that a reload shows the same images. The next
    free items are leased by the rules of `next_items`. Items of blind streams, and images that hide their
    prediction, are never leased here. Without `label_id`, or if no image of this label is left, the label
    with the largest number of images is used.

    Raises PermissionDenied if the user is not a reviewer.
    """
    require_role(user, dataset, Role.REVIEWER)
    head = champion_of_grid(dataset)
    if head is None:
        return GridPage(None, [], [])
    count = max(MIN_TILES, min(count, MAX_TILES))
    now = clock.now()
    by_label = items_by_label(dataset, head)
    held = _held(dataset, user, now, by_label)
    open_ids = _free_ids(dataset, user, now, by_label) | set(held)
    labels = [
        WaitingLabel(label, name, n)
        for (label, name), items in by_label.items()
        if (n := len(open_ids & set(items)))
    ]
    labels.sort(key=lambda one: (-one.waiting, one.label))
    # Another reviewer can take all images of a label after our query. Then the next label is used.
    for label in sorted(labels, key=lambda one: one.label != label_id):
        items = by_label[label.label, label.name]
        tiles = _lease(dataset, user, now, label.label, items, held, count)
        if tiles:
            images = [tile.item.image_id for tile in tiles]
            distance = distances_from_mean(head, images, list(items.values()))
            tiles.sort(key=lambda tile: (-distance.get(tile.item.image_id, -1.0), tile.item.pk))
            on_page = {tile.item.pk for tile in tiles}
            rest = [image for item, image in items.items() if item in open_ids - on_page][:count]
            return GridPage(label, tiles, labels, list(Image.objects.filter(pk__in=rest).only("sha256")))
    return GridPage(None, [], labels)


def _held(
    dataset: Dataset, user: User, now: datetime, by_label: dict[tuple[int, str], dict[int, int]]
) -> dict[int, Lease]:
    """Return item id → active lease of the reviewer, if it was made for the label of the item."""
    label_of = {item: label for (label, _name), items in by_label.items() for item in items}
    leases = Lease.objects.filter(
        user=user, ended_at__isnull=True, expires_at__gt=now, item__in=list(label_of), item__dataset=dataset
    )
    rows = leases.select_related("item__image").order_by("item__position", "item_id")
    return {
        lease.item_id: lease
        for lease in rows
        if lease.shown.get("label") == label_of[lease.item_id] and not lease.shown.get("blind")
    }


def _free_ids(
    dataset: Dataset, user: User, now: datetime, by_label: dict[tuple[int, str], dict[int, int]]
) -> set[int]:
    """Return the ids of the items that the reviewer can get now. Nothing is locked."""
    allowed = [item for items in by_label.values() for item in items]
    values = {**values_of_free(dataset, user, now, set()), "allowed": allowed}
    with connection.cursor() as cursor:
        cursor.execute(_FREE_IDS, values)
        return {row[0] for row in cursor.fetchall()}


def _lease(
    dataset: Dataset,
    user: User,
    now: datetime,
    label: int,
    items: dict[int, int],
    held: dict[int, Lease],
    count: int,
) -> list[LeasedItem]:
    """Return up to `count` items of a label with leases of the reviewer."""
    tiles = [LeasedItem(held[item].item, held[item]) for item in items if item in held][:count]
    if tiles:
        until = now + lease_time()
        Lease.objects.filter(pk__in=[tile.lease.pk for tile in tiles]).update(expires_at=until)
        for tile in tiles:
            tile.lease.expires_at = until
    excluded = set(held)
    # As in `next_items`: query again without the candidates that another transaction has taken.
    while len(tiles) < count:
        values = {**values_of_free(dataset, user, now, excluded), "allowed": list(items)}
        rows = lock_free_items(FREE + _ALLOWED, values, count - len(tiles))
        candidates = [item for item in rows if item.stream not in BLIND_STREAMS]
        if not candidates:
            break
        taken = lease_items(dataset=dataset, user=user, items=candidates, now=now)
        # The head may have been replaced meanwhile. An image with another prediction is not shown.
        others = [tile for tile in taken if tile.blind or tile.lease.shown.get("label") != label]
        Lease.objects.filter(pk__in=[tile.lease.pk for tile in others]).update(ended_at=now)
        tiles += [tile for tile in taken if tile not in others]
        excluded |= {item.pk for item in candidates}
    return tiles


def needed_ms(dataset: Dataset, tiles: int) -> int:
    """Return how many milliseconds a page with this number of images must be on the screen."""
    return max(dataset.min_display_ms, tiles * dataset.grid_image_ms)


@transaction.atomic
def answer_page(
    *, dataset: Dataset, user: User, page: UUID, tiles: list[TileAnswer], milliseconds: int
) -> list[TileResult]:
    """Record the answers about all images of a page, each as its own decision, and return their results.

    An answer is late or refused for one image exactly as by `answer`. The other answers are recorded. A page
    that is sent again returns the decisions of the first time. An image that was refused then stays refused.

    page: the sender's id of the page. milliseconds: how long the images were on the screen.

    Raises PermissionDenied if the user is not a reviewer. Raises InvalidAnswerError if the page has no image,
    too many images or an image twice, or if it was on the screen for less than `needed_ms`. Nothing is
    recorded then.
    """
    require_role(user, dataset, Role.REVIEWER)
    _check_tiles(tiles)
    lock_reviewer(user.pk)
    keys = {tile.item: uuid5(page, str(tile.item)) for tile in tiles}
    before = {
        decision.item_id: decision
        for decision in Decision.objects.filter(dataset=dataset, user=user, client_key__in=keys.values())
    }
    if before:
        for decision in before.values():
            decision.duplicate = True
        return [
            TileResult(tile.item, d, None if d else _sent_before())
            for tile in tiles
            for d in [before.get(tile.item)]
        ]
    needed = needed_ms(dataset, len(tiles))
    if milliseconds < needed:
        raise InvalidAnswerError(
            "not_seen",
            _(
                "The page was on the screen for %(n)d ms; its images need %(needed)d ms. Nothing was "
                "recorded; look at the images, then confirm again."
            )
            % {"n": milliseconds, "needed": needed},
        )
    _lock_images(dataset, [tile.item for tile in tiles])
    blind = set(QueueItem.objects.filter(pk__in=keys, stream__in=BLIND_STREAMS).values_list("pk", flat=True))
    grid = {"page": str(page), "tiles": len(tiles)}
    results = []
    for tile in tiles:
        try:
            if tile.item in blind:
                raise _blind()
            decision = answer(
                dataset=dataset,
                user=user,
                item_id=tile.item,
                lease_id=tile.lease,
                kind=tile.kind,
                label=tile.label,
                client_key=keys[tile.item],
                milliseconds=milliseconds,
                grid=grid,
            )
        except ReviewError as error:
            results.append(TileResult(tile.item, None, error))
        else:
            results.append(TileResult(tile.item, decision))
    recorded = [result.decision for result in results if result.decision is not None]
    if recorded:
        request_follow_up_work(dataset, user, recorded[-1])
    return results


def _check_tiles(tiles: list[TileAnswer]) -> None:
    if not 1 <= len(tiles) <= MAX_TILES:
        raise InvalidAnswerError(
            "tile_count",
            _("A page has 1 to %(most)d images. Nothing was recorded; send fewer images.")
            % {"most": MAX_TILES},
        )
    if len({tile.item for tile in tiles}) < len(tiles):
        raise InvalidAnswerError(
            "repeated_tile",
            _("The page has an image twice. Nothing was recorded; send each image once."),
        )


def _blind() -> ReviewError:
    return ReviewError(
        "blind",
        _(
            "This image must be judged without seeing a prediction. Nothing was recorded for it; judge it "
            "in the review station."
        ),
    )


def _sent_before() -> ReviewError:
    return ReviewError(
        "page_sent",
        _(
            "This page was recorded before without this image. Nothing was recorded for it now; it is "
            "shown again on a later page."
        ),
    )


def _lock_images(dataset: Dataset, items: list[int]) -> None:
    """Lock the images of the items, then all their items, each in one order.

    Two pages that share images can then not wait for each other.
    """
    images = Image.objects.filter(dataset=dataset, queue_items__in=items).order_by("pk")
    ids = list(images.select_for_update(of=("self",), no_key=True).values_list("pk", flat=True))
    rows = QueueItem.objects.filter(image__in=ids).order_by("pk")
    list(rows.select_for_update(no_key=True).values_list("pk", flat=True))


@transaction.atomic
def undo_page(*, dataset: Dataset, user: User, client_key: UUID) -> UndonePage:
    """Undo all answers of the page that the reviewer answered last.

    Each answer gets its own undo. Its image waits again, first in the queue, and is leased to the reviewer as
    by `undo`. Answers of the page that were undone before stay undone. A request that is sent again with the
    same client_key returns the same undos, with `duplicate` set.

    Raises PermissionDenied if the user is not a reviewer. Raises ReviewError if there is nothing to undo, if
    the last answer was not given on a page, or if an answer used the key.
    """
    require_role(user, dataset, Role.REVIEWER)
    lock_reviewer(user.pk)
    if Decision.objects.filter(user=user, client_key=client_key).exists():
        repeated = _undos_of(dataset, user, client_key)
        return UndonePage(repeated, _label_of(repeated), duplicate=True)
    last = active_decisions(user=user, dataset=dataset).order_by("-pk").first()
    if last is None:
        raise ReviewError("nothing_to_undo", _("You have no answer left to undo in this dataset."))
    page = (last.shown.get("grid") or {}).get("page")
    if page is None:
        raise ReviewError(
            "not_a_page",
            _("Your last answer is not part of a page. Nothing was undone; undo it in the review station."),
        )
    # The reviewer's lock was held while the page was recorded, so its decisions follow each other.
    rows = active_decisions(user=user, dataset=dataset).filter(pk__lte=last.pk).order_by("-pk")[:MAX_TILES]
    targets = [row for row in rows if (row.shown.get("grid") or {}).get("page") == page]
    _lock_images(dataset, [target.item_id for target in targets if target.item_id])
    undos: list[Decision] = []
    for target in targets:
        key = uuid5(client_key, str(target.pk)) if undos else client_key
        try:
            with transaction.atomic():
                undos.append(record_undo(dataset=dataset, user=user, target=target, client_key=key))
        except ReviewError:  # An admin returned this image to the queue while we waited for the locks.
            if target == targets[-1] and not undos:
                raise
    return UndonePage(undos, _label_of(undos), duplicate=False)


def _label_of(undos: list[Decision]) -> int | None:
    undone = undos[0].supersedes
    return undone.shown.get("label") if undone is not None else None


def _undos_of(dataset: Dataset, user: User, client_key: UUID) -> list[Decision]:
    """Return the undos of a request that was recorded before."""
    first = Decision.objects.filter(
        user=user, dataset=dataset, client_key=client_key, kind=Decision.Kind.UNDO
    ).first()
    if first is None:
        raise ReviewError(
            "key_used",
            _("This undo has the same key as an earlier answer. The earlier answer is kept; undo again."),
        )
    later = Decision.objects.filter(user=user, dataset=dataset, kind=Decision.Kind.UNDO, pk__gte=first.pk)
    undos = []
    for undo in later.order_by("pk")[:MAX_TILES]:
        if undo.pk != first.pk and undo.client_key != uuid5(client_key, str(undo.supersedes_id)):
            break
        undos.append(undo)
    return undos
