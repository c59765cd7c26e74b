"""Answers of a page of the grid review: one decision for each image, written with few statements."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from django.db import transaction
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.audit.services import record_events
from mekiki.config import clock
from mekiki.config.compiled import insert_all, run_prepared
from mekiki.datasets.models import Dataset
from mekiki.labeling.models import Label
from mekiki.review.errors import InvalidAnswerError, ReviewError
from mekiki.review.models import LABEL_KINDS, TEST_STREAMS, Decision, Lease, QueueItem
from mekiki.review.services.confirmed import label_decisions_of, update_confirmed_labels
from mekiki.review.services.decisions import (
    check_against,
    check_time,
    facts_of,
    request_follow_up_work,
    unknown_lease,
    validate_arguments,
)
from mekiki.review.services.grid import MAX_TILES, TileAnswer, TileResult, lock_images, needed_ms
from mekiki.review.services.items import (
    complete,
    is_late,
    raise_overlap,
    unknown_item,
    update_item_after_answer,
)
from mekiki.review.services.locks import lock_reviewer
from mekiki.review.services.request_keys import decisions_of_keys


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
    before = {decision.item_id: decision for decision in decisions_of_keys(dataset, user, keys.values())}
    if before:
        return [
            TileResult(tile.item, d, None if d else _sent_before())
            for tile in tiles
            for d in [before.get(tile.item)]
        ]
    check_time(milliseconds)
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
    items = lock_images(dataset, [tile.item for tile in tiles])
    leases = Lease.objects.filter(pk__in=[tile.lease for tile in tiles], user=user)
    now = clock.now()
    leases_by_id = {lease.pk: lease for lease in leases}
    labels = {label.pk: label for label in Label.objects.filter(dataset=dataset)}
    grid = {"page": str(page), "tiles": len(tiles)}
    results: list[Decision | ReviewError] = []
    for tile in tiles:
        try:
            item, lease = items.get(tile.item), leases_by_id.get(tile.lease)
            if item is None:
                raise unknown_item()
            if lease is None or lease.item_id != item.pk:
                raise unknown_lease()
            if lease.shown.get("blind"):
                raise _blind()
            results.append(
                _decision(dataset, user, tile, item, lease, labels, now, grid, milliseconds, keys[tile.item])
            )
        except ReviewError as error:
            results.append(error)
    recorded = [one for one in results if isinstance(one, Decision)]
    _record(dataset, user, recorded, [leases_by_id[t.lease] for t in tiles if t.lease in leases_by_id], now)
    return [
        TileResult(tile.item, one) if isinstance(one, Decision) else TileResult(tile.item, None, one)
        for tile, one in zip(tiles, results, strict=True)
    ]


def _decision(
    dataset: Dataset,
    user: User,
    tile: TileAnswer,
    item: QueueItem,
    lease: Lease,
    labels: dict[int, Label],
    now: datetime,
    grid: dict[str, Any],
    milliseconds: int,
    key: UUID,
) -> Decision:
    """Return the unsaved decision about one image. Raises ReviewError as the service `answer`."""
    validate_arguments(tile.kind, tile.label, tile.reason, tile.note)
    kind, label = check_against(dataset, lease.shown, tile.kind, tile.label, labels)
    return Decision(
        dataset=dataset,
        image=item.image,
        item=item,
        user=user,
        kind=kind,
        label=label,
        reason=tile.reason,
        note=tile.note,
        shown=lease.shown | {"grid": grid},
        client_key=key,
        late=is_late(item, lease, now),
        milliseconds=milliseconds,
    )


def _record(
    dataset: Dataset, user: User, decisions: list[Decision], leases: list[Lease], now: datetime
) -> None:
    """Store the decisions of a page with all that follows from them, as the service `answer` does."""
    if not decisions:
        return
    insert_all(decisions)
    answered = {decision.item_id for decision in decisions}
    ended = [lease.pk for lease in leases if lease.item_id in answered]
    run_prepared(
        "UPDATE review_lease SET ended_at = %s WHERE id = ANY(%s) AND ended_at IS NULL", [now, ended]
    ).close()
    labelled = {
        decision.image_id: decision.image
        for decision in decisions
        if decision.kind in LABEL_KINDS and _item(decision).stream not in TEST_STREAMS
    }
    given = label_decisions_of(labelled.values())
    done = []
    for decision in decisions:
        item, about_image = _item(decision), given.get(decision.image_id, [])
        raise_overlap(dataset, item, decision, about_image)
        if item.state != QueueItem.State.WAITING:
            continue
        if update_item_after_answer(item, decision.kind, user, now, about_image):
            done.append(item)
    complete(done, now)
    update_confirmed_labels(dataset=dataset, images=list(labelled.values()), given=given)
    record_events(
        kind="decision.recorded",
        actor=user,
        dataset=dataset,
        targets=[(decision, facts_of(decision)) for decision in decisions],
    )
    request_follow_up_work(dataset, user, decisions[-1])


def _item(decision: Decision) -> QueueItem:
    assert decision.item is not None
    return decision.item


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
