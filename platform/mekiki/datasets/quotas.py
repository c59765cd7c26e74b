"""Storage limits of datasets and of the platform, and how much is used."""

from dataclasses import dataclass, field
from typing import Any

from django.db.models import F, Sum

from mekiki.datasets.models import Dataset, DatasetUsage, ImportBatch, PlatformQuota
from mekiki.datasets.problems import ProblemError


@dataclass
class QuotaUsage:
    """One storage limit and how much of it is used.

    `code` is the code of the report line about files that do not fit.
    """

    code: str
    limit: int
    used: int

    @property
    def left(self) -> int:
        """Return how much more may be stored."""
        return max(0, self.limit - self.used)


@dataclass
class RemainingQuota:
    """Free storage of a dataset, by its own limits and those of the platform.

    A Room without limits accepts every image.
    """

    images: list[QuotaUsage] = field(default_factory=list)
    bytes: list[QuotaUsage] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.images or self.bytes)

    def problem(self, size: int) -> ProblemError | None:
        """Return why an image of this size does not fit, or None if it fits. `size` is in bytes."""
        for limit in self.images:
            if limit.used >= limit.limit:
                return ProblemError(limit.code, limit=limit.limit)
        for limit in self.bytes:
            if limit.used + size > limit.limit:
                return ProblemError(limit.code, limit=limit.limit, needed=size, left=limit.left)
        return None

    def is_full(self) -> ProblemError | None:
        """Return why not even the smallest image fits, or None if there is room for one."""
        return self.problem(1)

    def take(self, size: int) -> None:
        """Count an image that is stored."""
        for limit in self.images:
            limit.used += 1
        for limit in self.bytes:
            limit.used += size

    def is_short(self, *, files: int, size: int) -> bool:
        """Return whether this many files, or this many bytes, may exceed a limit."""
        return any(limit.left < files for limit in self.images) or any(
            limit.left < size for limit in self.bytes
        )


def remaining_quota(dataset: Dataset, *, lock: bool = False) -> RemainingQuota:
    """Return the free storage of a dataset.

    `lock`: until the transaction ends, no other transaction stores images in this dataset, or in the whole
    platform if the platform has limits.
    """
    platform = PlatformQuota.objects.filter(pk=PlatformQuota.ONLY)
    limited = platform.exclude(max_images=None, max_bytes=None)
    quota = (limited.select_for_update() if lock else limited).first()
    limits = Dataset.objects.values("max_images", "max_bytes").get(pk=dataset.pk)
    room = RemainingQuota()
    if quota is None and not any(limits.values()):
        return room
    rows = DatasetUsage.objects.filter(dataset=dataset)
    if lock:
        DatasetUsage.objects.bulk_create([DatasetUsage(dataset=dataset)], ignore_conflicts=True)
        rows = rows.select_for_update()
    used = rows.first() or DatasetUsage(dataset=dataset)
    # Read again after the lock: an admin may have changed the limits in the meantime.
    limits = Dataset.objects.values("max_images", "max_bytes").get(pk=dataset.pk)
    _add(room, "dataset", {**limits}, {"images": used.images, "bytes": used.bytes})
    if quota is not None:
        _add(
            room, "platform", {"max_images": quota.max_images, "max_bytes": quota.max_bytes}, platform_usage()
        )
    return room


def _add(room: RemainingQuota, whose: str, limits: dict[str, Any], used: dict[str, int]) -> None:
    if limits["max_images"] is not None:
        room.images.append(QuotaUsage(f"{whose}_full_images", limits["max_images"], used["images"]))
    if limits["max_bytes"] is not None:
        room.bytes.append(QuotaUsage(f"{whose}_full_bytes", limits["max_bytes"], used["bytes"]))


def dataset_usage(dataset: Dataset) -> dict[str, int]:
    """Return the number of images and bytes that a dataset stores."""
    used = DatasetUsage.objects.filter(dataset=dataset).first() or DatasetUsage(dataset=dataset)
    return {"images": used.images, "bytes": used.bytes}


def platform_usage() -> dict[str, int]:
    """Return the number of images and bytes that all datasets store, archived datasets included."""
    sums = DatasetUsage.objects.aggregate(n=Sum("images"), size=Sum("bytes"))
    return {"images": int(sums["n"] or 0), "bytes": int(sums["size"] or 0)}


def pending_upload_problem(batch: ImportBatch) -> ProblemError | None:
    """Return why one more file of this upload may not wait for its import, or None if it may.

    Uploads that wait may use twice the bytes of the limit, because copies of stored images may be sent again.
    """
    quota = PlatformQuota.objects.filter(pk=PlatformQuota.ONLY).values_list("max_bytes", flat=True).first()
    own = Dataset.objects.filter(pk=batch.dataset_id).values_list("max_bytes", flat=True).first()
    waiting = ImportBatch.objects.filter(waiting_bytes__gt=0)
    for code, limit, rows in (
        ("dataset_waiting", own, waiting.filter(dataset=batch.dataset_id)),
        ("platform_waiting", quota, waiting),
    ):
        if limit is not None and int(rows.aggregate(n=Sum("waiting_bytes"))["n"] or 0) > 2 * limit:
            return ProblemError(code, limit=2 * limit)
    return None


def add_pending_bytes(batch: ImportBatch, size: int) -> None:
    """Add bytes to the count of an upload that waits for its import. A negative size subtracts."""
    ImportBatch.objects.filter(pk=batch.pk).update(waiting_bytes=F("waiting_bytes") + size)


def limits_of(limits: Dataset | PlatformQuota | None) -> dict[str, int | None]:
    """Return the limits as `meters` takes them."""
    return {name: getattr(limits, name, None) for name in ("max_images", "max_bytes")}


def dataset_quota(dataset: Dataset) -> dict[str, dict[str, int | None]]:
    """Return storage use and limits of a dataset for the API: unit → used, limit, left."""
    return _amounts(limits_of(dataset), dataset_usage(dataset))


def platform_quota() -> dict[str, dict[str, int | None]]:
    """Return storage use and limits of all datasets, in the form of dataset_quota."""
    row = PlatformQuota.objects.filter(pk=PlatformQuota.ONLY).first()
    return _amounts(limits_of(row), platform_usage())


def _amounts(limits: dict[str, int | None], used: dict[str, int]) -> dict[str, dict[str, int | None]]:
    amounts: dict[str, dict[str, int | None]] = {}
    for unit in ("images", "bytes"):
        limit = limits[f"max_{unit}"]
        left = None if limit is None else max(0, limit - used[unit])
        amounts[unit] = {"used": used[unit], "limit": limit, "left": left}
    return amounts


def meters(limits: dict[str, Any], used: dict[str, int]) -> list[dict[str, Any]]:
    """Return the values that a page shows for images and bytes.

    The values are: used, limit (None: no limit), percent, and whether the limit is reached.
    """
    shown = []
    for unit in ("images", "bytes"):
        limit = limits[f"max_{unit}"]
        percent = None if limit is None else min(100, 100 * used[unit] // limit)
        shown.append(
            {
                "unit": unit,
                "used": used[unit],
                "limit": limit,
                "percent": percent,
                "full": limit is not None and used[unit] >= limit,
            }
        )
    return shown
