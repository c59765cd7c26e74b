"""Grid review: pages of images with the same predicted label, answered and undone as a whole."""

from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from uuid import UUID, uuid5

from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.config import clock
from mekiki.datasets.models import Dataset, Image
from mekiki.learning.models import Head
from mekiki.review.assignments import Search, division_of
from mekiki.review.errors import ReviewError
from mekiki.review.grid import WaitingLabel, champion_of_grid, distances_from_mean, items_by_label
from mekiki.review.models import BLIND_STREAMS, TEST_STREAMS, Decision, Lease, QueueItem, Stream
from mekiki.review.requalification import blocking_requalification
from mekiki.review.selectors import active_decisions
from mekiki.review.services.known_answers import lock_known_answers, shuffled, stage
from mekiki.review.services.leases import (
    FREE,
    LeasedItem,
    lease_items,
    lease_time,
    lock_free_items,
    values_of_free,
)
from mekiki.review.services.locks import lock_reviewer
from mekiki.review.services.request_keys import decision_of_key
from mekiki.review.services.undoing import record_undo

MIN_TILES, MAX_TILES = 6, 60
_ALLOWED = " AND q.id = ANY(%(allowed)s)"


@dataclass(frozen=True)
class GridPage:
    """The images of a page, the least typical first, and the labels from which the reviewer can choose.

    `label` is None if no image waits in any label.
    """

    label: WaitingLabel | None
    tiles: list[LeasedItem]
    labels: list[WaitingLabel]  # the largest number of waiting images first


@dataclass(frozen=True)
class TileAnswer:
    """A reviewer's answer about one image of a page. The fields are as in the service `answer`."""

    item: int
    lease: int
    kind: str
    label: int | None = None
    reason: str = ""
    note: str = ""


@dataclass(frozen=True)
class TileResult:
    """What became of the answer about one image: the recorded decision, or the reason of the refusal."""

    item: int
    decision: Decision | None
    error: ReviewError | None = None


@dataclass(frozen=True)
class UndonePage:
    """The undos of a page, and the label that was predicted for its images.

    returned: images that are leased to the reviewer again. kept: answers that stay, because an admin has
    acted on their images. ruled: images whose label stays, because an adjudicator has ruled on them.
    """

    undos: list[Decision]
    label: int | None
    duplicate: bool
    returned: int = 0
    kept: int = 0
    ruled: int = 0

    @property
    def elsewhere(self) -> int:
        """Return how many images other reviewers have, or need no further decision, without a ruling."""
        return len(self.undos) - self.returned - self.ruled


@transaction.atomic
def next_page(*, dataset: Dataset, user: User, label_id: int | None = None, count: int = 24) -> GridPage:
    """Return up to `count` (6 to 60) leased items that the head in use predicts as one label.

    First come the items that the reviewer already holds, so that a reload shows the same images. The next
    free items are leased by the rules of `next_items`, without the strict parts of others. Items of blind
    streams, and images that hide their prediction, are never leased here. Without `label_id`, or if no image
    of this label is left, the label with the largest number of images is used, first among the labels that
    are assigned to the reviewer.

    Raises PermissionDenied if the user is not a reviewer.
    """
    require_role(user, dataset, Role.REVIEWER)
    head = champion_of_grid(dataset)
    if head is None or blocking_requalification(dataset, user) is not None:
        return GridPage(None, [], [])
    count = max(MIN_TILES, min(count, MAX_TILES))
    now = clock.now()
    by_label = items_by_label(dataset, head)
    division = division_of(dataset, user)
    free = division.searches()[-1] if division else Search("true", {})
    held = _held(dataset, user, now, by_label)
    open_ids = _free_ids(dataset, user, now, by_label, free) | set(held)
    labels = [
        WaitingLabel(label, name, n)
        for (label, name), items in by_label.items()
        if (n := len(open_ids & set(items)))
    ]
    first = division.own_labels if division else set()
    labels.sort(key=lambda one: (one.label not in first, -one.waiting, one.label))
    # Another reviewer can take all images of a label after our query. Then the next label is used.
    for label in sorted(labels, key=lambda one: one.label != label_id):
        items = by_label[label.label, label.name]
        tiles = _lease(dataset, user, now, label.label, items, held, count, free)
        if tiles:
            tiles, known = _in_order(head, tiles, items)
            # The number of images must not tell that some of them have known labels.
            shown = replace(label, waiting=label.waiting + known)
            return GridPage(shown, tiles, [shown if one == label else one for one in labels])
    return GridPage(None, [], labels)


def _in_order(head: Head, tiles: list[LeasedItem], items: dict[int, int]) -> tuple[list[LeasedItem], int]:
    """Return the tiles with the least typical first and known answers at random places, and their number.

    The place of a known answer is the same after a reload, and follows from a secret.
    """
    normal = [tile for tile in tiles if tile.item.stream not in TEST_STREAMS]
    distance = distances_from_mean(head, [tile.item.image_id for tile in normal], list(items.values()))
    ordered = sorted(normal, key=lambda tile: (-distance.get(tile.item.image_id, -1.0), tile.item.pk))
    # By their ids, so that the places do not depend on the order in which they were leased.
    known = sorted((t for t in tiles if t.item.stream in TEST_STREAMS), key=lambda tile: tile.item.pk)
    for tile in known:
        secret = salted_hmac("mekiki.grid", str(tile.item.pk), algorithm="sha256").digest()
        ordered.insert(int.from_bytes(secret[:8]) % (len(ordered) + 1), tile)
    return ordered, len(known)


def _held(
    dataset: Dataset, user: User, now: datetime, by_label: dict[tuple[int, str], dict[int, int]]
) -> dict[int, Lease]:
    """Return item id → active lease of the reviewer, if it was made for a page of the grid.

    Leases on known answers are among them. Their page is the label that they show.
    """
    label_of = {item: label for (label, _name), items in by_label.items() for item in items}
    leases = Lease.objects.filter(
        Q(item__in=list(label_of)) | Q(item__stream=Stream.GOLD, item__state=QueueItem.State.WAITING),
        user=user,
        ended_at__isnull=True,
        expires_at__gt=now,
        item__dataset=dataset,
    )
    rows = leases.select_related("item__image").order_by("item__position", "item_id")
    return {
        lease.item_id: lease
        for lease in rows
        if not lease.shown.get("blind")
        and lease.shown.get("label") == label_of.get(lease.item_id, lease.shown["label"])
    }


def _free_ids(
    dataset: Dataset,
    user: User,
    now: datetime,
    by_label: dict[tuple[int, str], dict[int, int]],
    free: Search,
) -> set[int]:
    """Return the ids of the items that the reviewer can get now. Nothing is locked."""
    allowed = [item for items in by_label.values() for item in items]
    values = {**values_of_free(dataset, user, now, set()), **free.values, "allowed": allowed}
    sql = f"SELECT id FROM ({FREE} {_ALLOWED} AND {free.condition}) AS q"  # noqa: S608 - constants only
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return {row[0] for row in cursor.fetchall()}


def _lease(
    dataset: Dataset,
    user: User,
    now: datetime,
    label: int,
    items: dict[int, int],
    held: dict[int, Lease],
    count: int,
    free: Search,
) -> list[LeasedItem]:
    """Return up to `count` items of a label with leases of the reviewer, with known answers among them."""
    mine = [pk for pk in items if pk in held]
    mine += [pk for pk, lease in held.items() if pk not in items and lease.shown.get("label") == label]
    tiles = [LeasedItem(held[item].item, held[item]) for item in mine][:count]
    if tiles:
        until = now + lease_time()
        Lease.objects.filter(pk__in=[tile.lease.pk for tile in tiles]).update(expires_at=until)
        for tile in tiles:
            tile.lease.expires_at = until
    known = [] if tiles else lock_known_answers(dataset, user, now, label, count)
    excluded = set(held)
    # As in `next_items`: query again without the candidates that another transaction has taken.
    while len(tiles) + len(known) < count:
        values = {**values_of_free(dataset, user, now, excluded), **free.values, "allowed": list(items)}
        wanted = count - len(tiles) - len(known)
        rows = lock_free_items(f"{FREE} {_ALLOWED} AND {free.condition}", values, wanted)
        candidates = [item for item in rows if item.stream not in BLIND_STREAMS]
        if not candidates:
            break
        # In random order, so that the id of a lease does not reveal a known answer.
        mixed = shuffled([*candidates, *known])
        taken = lease_items(
            dataset=dataset, user=user, items=mixed, now=now, change=partial(stage, label=label)
        )
        # The head may have been replaced meanwhile. An image with another prediction is not shown.
        others = [tile for tile in taken if tile.blind or tile.lease.shown.get("label") != label]
        Lease.objects.filter(pk__in=[tile.lease.pk for tile in others]).update(ended_at=now)
        tiles += [tile for tile in taken if tile not in others]
        excluded |= {item.pk for item in mixed}
        known = []
    return tiles


def needed_ms(dataset: Dataset, tiles: int) -> int:
    """Return how many milliseconds a page with this number of images must be on the screen."""
    return max(dataset.min_display_ms, tiles * dataset.grid_image_ms)


def lock_images(dataset: Dataset, items: list[int]) -> dict[int, QueueItem]:
    """Lock the images of the items, then all their items, each in one order, and return the items by id.

    Two pages that share images can then not wait for each other.
    """
    images = Image.objects.filter(dataset=dataset, queue_items__in=items).order_by("pk")
    by_id = {image.pk: image for image in images.select_for_update(of=("self",), no_key=True)}
    rows = QueueItem.objects.filter(image__in=list(by_id)).order_by("pk").select_for_update(no_key=True)
    locked = {item.pk: item for item in rows}
    for item in locked.values():
        item.image = by_id[item.image_id]
    return {pk: locked[pk] for pk in items if pk in locked}


@transaction.atomic
def undo_page(*, dataset: Dataset, user: User, client_key: UUID) -> UndonePage:
    """Undo all answers of the page that the reviewer answered last.

    Each answer gets its own undo. Its image waits again, first in the queue, and is leased to the reviewer as
    by `undo`. Answers of the page that were undone before stay undone. If an admin has set an image aside,
    sent it to a reviewer or returned it to the queue, its answer is kept. If an adjudicator has ruled on an
    image, the answer is undone and the ruling stays. The reviewer's own rulings are left alone. A request
    that is sent again with the same client_key returns the same undos, with `duplicate` set.

    Raises PermissionDenied if the user is not a reviewer. Raises ReviewError if there is nothing to undo, if
    the last answer was not given on a page, or if an answer used the key.
    """
    require_role(user, dataset, Role.REVIEWER)
    lock_reviewer(user.pk)
    first = decision_of_key(
        user=user,
        client_key=client_key,
        same=lambda one: (one.dataset_id, one.kind) == (dataset.pk, Decision.Kind.UNDO),
    )
    if first is not None:
        return _undone(dataset, user, _undos_since(first, client_key), duplicate=True)
    answers = active_decisions(user=user, dataset=dataset).exclude(kind=Decision.Kind.RULE)
    last = answers.order_by("-pk").first()
    if last is None:
        raise ReviewError("nothing_to_undo", _("You have no answer left to undo in this dataset."))
    page = (last.shown.get("grid") or {}).get("page")
    if page is None:
        raise ReviewError(
            "not_a_page",
            _("Your last answer is not part of a page. Nothing was undone; undo it in the review station."),
        )
    targets = _answers_of_page(answers, page, last)
    lock_images(dataset, [target.item_id for target in targets if target.item_id])
    undos: list[Decision] = []
    for target in targets:
        key = uuid5(client_key, str(target.pk)) if undos else client_key
        try:
            with transaction.atomic():
                undos.append(record_undo(dataset=dataset, user=user, target=target, client_key=key))
        except ReviewError:  # An admin has acted on this image.
            if target == targets[-1] and not undos:
                raise
    return _undone(dataset, user, undos, duplicate=False)


def _answers_of_page(answers: QuerySet[Decision], page: str, until: Decision) -> list[Decision]:
    """Return the answers of a page up to a decision of the reviewer, the newest first.

    The reviewer's lock was held while the page was recorded, so its decisions follow each other.
    """
    rows = answers.filter(pk__lte=until.pk).order_by("-pk")[:MAX_TILES]
    return [row for row in rows if (row.shown.get("grid") or {}).get("page") == page]


def _undone(dataset: Dataset, user: User, undos: list[Decision], *, duplicate: bool) -> UndonePage:
    """Return the undos of a page, with what became of its images."""
    undone = undos[0].supersedes
    shown = undone.shown if undone is not None else {}
    items = {undo.item_id for undo in undos}
    images = {undo.image_id for undo in undos}
    leases = Lease.objects.filter(user=user, ended_at__isnull=True, expires_at__gt=clock.now())
    returned = set(leases.filter(item__image__in=images).values_list("item__image", flat=True))
    rulings = active_decisions(item__in=items, kind=Decision.Kind.RULE)
    answers = active_decisions(dataset=dataset, user=user)
    return UndonePage(
        undos,
        shown.get("label"),
        duplicate=duplicate,
        returned=len(returned),
        kept=len(_answers_of_page(answers, shown["grid"]["page"], undos[0])) if "grid" in shown else 0,
        ruled=len(set(rulings.values_list("image", flat=True)) - returned),
    )


def _undos_since(first: Decision, client_key: UUID) -> list[Decision]:
    """Return the undos of a request that was recorded before. `first` has the key of the request."""
    rows = Decision.objects.filter(user=first.user_id, dataset=first.dataset_id)
    later = rows.filter(kind=Decision.Kind.UNDO, pk__gte=first.pk)
    undos = []
    for undo in later.order_by("pk")[:MAX_TILES]:
        if undo.pk != first.pk and undo.client_key != uuid5(client_key, str(undo.supersedes_id)):
            break
        undos.append(undo)
    return undos
