"""Services of near-duplicates: survey of thresholds, choice of a threshold, storage of groups."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import F
from django.utils.translation import gettext as _
from numpy.typing import NDArray

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.audit.services import record
from mekiki.config import clock
from mekiki.datasets.models import Dataset
from mekiki.jobs.models import Job, Kind
from mekiki.jobs.payloads import NearDuplicatesPayload
from mekiki.jobs.services import enqueue
from mekiki.learning.binary import FLOAT8, INT8, blank_rows, copy_in
from mekiki.learning.models import Encoder, GroupedImage, NearDuplicateGrouping, NearDuplicateSurvey
from mekiki.learning.near_duplicates import SurveyLevel, grouping_in_use, grouping_under_way
from mekiki.learning.selectors import encoder_in_use

LOWEST_THRESHOLD = 0.5


def request_survey(*, dataset: Dataset, user: User) -> Job:
    """Start the job that computes what several thresholds would give.

    Raises PermissionDenied unless the user is an admin of the dataset, and ValidationError if no image is
    embedded.
    """
    require_role(user, dataset, Role.ADMIN)
    _require_encoder(dataset)
    return enqueue(kind=Kind.NEAR_DUPLICATES, dataset=dataset, key=_key(dataset, "survey"), user=user)


def _require_encoder(dataset: Dataset) -> Encoder:
    encoder = encoder_in_use(dataset)
    if encoder is None:
        raise ValidationError(
            _("No image has an embedding yet. Nothing was started. Import images first."),
            code="no_embeddings",
        )
    return encoder


def _key(dataset: Dataset, part: object) -> str:
    return f"{Kind.NEAR_DUPLICATES}:{dataset.pk}:{part}"


@transaction.atomic
def choose_threshold(
    *, dataset: Dataset, user: User, threshold: float, leave_out: bool = False
) -> NearDuplicateGrouping:
    """Store the threshold of near-duplicates, and start the job that groups the images by it.

    The groups in use stay until the job has stored the new groups. leave_out: whether heads are trained
    without images whose group contains an image of the audit reserve. Raises PermissionDenied unless the user
    is an admin of the dataset, and ValidationError if the threshold is outside its range or no image is
    embedded.
    """
    require_role(user, dataset, Role.ADMIN)
    if not LOWEST_THRESHOLD <= threshold <= 1:
        raise ValidationError(
            _("The threshold is a cosine from %(low)s to 1. Nothing was changed.")
            % {"low": LOWEST_THRESHOLD},
            code="bad_threshold",
        )
    encoder = _require_encoder(dataset)
    Dataset.objects.select_for_update(no_key=True).only("pk").get(pk=dataset.pk)
    waiting = grouping_under_way(dataset)
    if waiting is not None:
        _end(waiting)
    grouping = NearDuplicateGrouping.objects.create(
        dataset=dataset, encoder=encoder, threshold=threshold, leave_out=leave_out, created_by=user
    )
    record(
        kind="near_duplicates.threshold_chosen",
        actor=user,
        dataset=dataset,
        target=grouping,
        data={
            "threshold": threshold,
            "encoder": encoder.name,
            "encoder_digest": encoder.digest,
            "leave_out": leave_out,
        },
    )
    _enqueue_grouping(grouping, user)
    return grouping


def _enqueue_grouping(grouping: NearDuplicateGrouping, user: User | None) -> Job:
    return enqueue(
        kind=Kind.NEAR_DUPLICATES,
        dataset=grouping.dataset,
        key=_key(grouping.dataset, grouping.pk),
        payload=NearDuplicatesPayload(grouping=grouping.pk).as_json(),
        user=user,
    )


def _end(grouping: NearDuplicateGrouping) -> None:
    grouping.ended_at = clock.now()
    grouping.save(update_fields=["ended_at"])
    rows = GroupedImage.objects.filter(grouping=grouping)
    rows._raw_delete(rows.db)  # type: ignore[attr-defined]


@transaction.atomic
def stop_grouping(*, dataset: Dataset, user: User) -> None:
    """Delete the groups of near-duplicates. Heads and figures that exist stay as they are.

    Raises PermissionDenied unless the user is an admin of the dataset.
    """
    require_role(user, dataset, Role.ADMIN)
    Dataset.objects.select_for_update(no_key=True).only("pk").get(pk=dataset.pk)
    for grouping in (grouping_in_use(dataset), grouping_under_way(dataset)):
        if grouping is not None:
            _end(grouping)
            record(
                kind="near_duplicates.stopped",
                actor=user,
                dataset=dataset,
                target=grouping,
                data={"threshold": grouping.threshold},
            )


@transaction.atomic
def set_leave_out(*, dataset: Dataset, user: User, leave_out: bool) -> None:
    """Change whether heads are trained without images whose group contains an image of the audit reserve.

    Raises PermissionDenied unless the user is an admin of the dataset.
    """
    require_role(user, dataset, Role.ADMIN)
    grouping = grouping_in_use(dataset)
    if grouping is None or grouping.leave_out == leave_out:
        return
    grouping.leave_out = leave_out
    grouping.save(update_fields=["leave_out"])
    record(
        kind="near_duplicates.use_changed",
        actor=user,
        dataset=dataset,
        target=grouping,
        data={"leave_out": leave_out},
    )


def request_regrouping(*, dataset: Dataset) -> Job | None:
    """Start the job that adds new images to the groups in use, if it can. Called by the platform.

    Groups of another encoder are not extended, because its cosines are not comparable.
    """
    grouping, encoder = grouping_in_use(dataset), encoder_in_use(dataset)
    if grouping is None or encoder is None or grouping.encoder_id != encoder.pk:
        return None
    return _enqueue_grouping(grouping, None)


@transaction.atomic
def record_survey(
    *, dataset: Dataset, encoder: Encoder, total: int, images: int, levels: Sequence[SurveyLevel]
) -> None:
    """Store the survey of a dataset in place of the one before. Called by a worker."""
    NearDuplicateSurvey.objects.update_or_create(
        dataset=dataset,
        defaults={
            "encoder": encoder,
            "images": images,
            "total": total,
            "levels": [asdict(level) for level in levels],
            "created_at": clock.now(),
        },
    )


@transaction.atomic
def store_groups(
    *,
    grouping: NearDuplicateGrouping,
    image_ids: NDArray[np.int64],
    first_ids: NDArray[np.int64],
    cosines: NDArray[Any],
) -> NearDuplicateGrouping | None:
    """Store the groups of new images, and put the grouping in use. Called by a worker.

    image_ids (n,): the new images. first_ids (n,): the first image of each group. cosines (n,): with the
    first image. Images that no longer exist are left out, with the images of which they are the first image.
    Return None, and store nothing, if the grouping has ended meanwhile.
    """
    Dataset.objects.select_for_update(no_key=True).only("pk").get(pk=grouping.dataset_id)
    row = NearDuplicateGrouping.objects.select_for_update(of=("self",)).get(pk=grouping.pk)
    if row.ended_at is not None:
        return None
    before = grouping_in_use(row.dataset)
    if before is not None and before.pk != row.pk:
        _end(before)
    _copy_rows(row.pk, image_ids, first_ids, cosines)
    row.images, row.groups, row.members = _counts(row.pk)
    row.grouped_at = clock.now()
    row.save(update_fields=["images", "groups", "members", "grouped_at"])
    return row


def _copy_rows(
    grouping: int, image_ids: NDArray[np.int64], first_ids: NDArray[np.int64], cosines: NDArray[Any]
) -> None:
    rows = blank_rows(len(image_ids), {"image_id": INT8, "first_id": INT8, "cosine": FLOAT8})
    rows["image_id"], rows["first_id"], rows["cosine"] = image_ids, first_ids, cosines
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMP TABLE incoming_group (image_id bigint, first_id bigint, cosine float8) "
            "ON COMMIT DROP"
        )
        copy_in("incoming_group", ["image_id", "first_id", "cosine"], rows)
        cursor.execute(
            "INSERT INTO learning_groupedimage (grouping_id, image_id, first_id, cosine) "
            "SELECT %s, n.image_id, n.first_id, n.cosine FROM incoming_group n "
            # With these locks, an image that is being deleted is either left out or deleted afterwards.
            "JOIN datasets_image i ON i.id = n.image_id JOIN datasets_image f ON f.id = n.first_id "
            "FOR KEY SHARE OF i, f ON CONFLICT (grouping_id, image_id) "
            "DO UPDATE SET first_id = EXCLUDED.first_id, cosine = EXCLUDED.cosine",
            [grouping],
        )
        cursor.execute("DROP TABLE incoming_group")


def _counts(grouping: int) -> tuple[int, int, int]:
    """Return the numbers of images, of groups of two or more, and of images in these groups."""
    rows = GroupedImage.objects.filter(grouping=grouping)
    others = rows.exclude(first=F("image"))
    groups = others.values("first").distinct().count()
    return rows.count(), groups, others.count() + groups
