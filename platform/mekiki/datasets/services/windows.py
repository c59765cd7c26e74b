"""Services that change a pixel window and render thumbnails and display files again."""

import math
from collections.abc import Iterable

import numpy as np
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

import imaging
from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.audit.services import record
from mekiki.datasets import storage
from mekiki.datasets.importing import pictures
from mekiki.datasets.importing.windows import PixelWindows, camera_of
from mekiki.datasets.models import Dataset, Image, PixelWindow
from mekiki.jobs.models import Job, Kind
from mekiki.jobs.payloads import RebuildPicturesPayload
from mekiki.jobs.services import enqueue

LARGEST = 3.4e38


@transaction.atomic
def change_window(*, window: PixelWindow, user: User, black: float, white: float) -> Job | None:
    """Set the black and white values, and start a job that renders and encodes its images again.

    Returns None if nothing changes. Raises PermissionDenied unless the user is an admin of the dataset.
    Raises ValidationError if a value is not a valid number, or both are equal.
    """
    require_role(user, window.dataset, Role.ADMIN)
    if not (math.isfinite(black) and math.isfinite(white) and abs(black) < LARGEST and abs(white) < LARGEST):
        raise ValidationError(_("Black and white must be numbers."))
    if black == white:
        raise ValidationError(_("Black and white must be different values."))
    row = PixelWindow.objects.select_for_update(no_key=True).get(pk=window.pk)
    before = {"black": row.black, "white": row.white}
    if before == {"black": black, "white": white}:
        return None
    row.black, row.white, row.estimated_from = black, white, 0
    row.version += 1
    row.save(update_fields=["black", "white", "estimated_from", "version"])
    record(
        kind="window.changed",
        actor=user,
        dataset=row.dataset,
        target=row,
        data={
            "camera": row.camera,
            "sample": row.sample,
            "before": before,
            "after": {"black": black, "white": white},
        },
    )
    # An estimate that was requested earlier and still waits must not replace these values.
    return _enqueue(row.dataset, user, RebuildPicturesPayload(window=row.pk, estimate=False))


@transaction.atomic
def estimate_window_again(*, window: PixelWindow, user: User) -> Job:
    """Start a job that estimates the window again and then renders and encodes its images.

    The estimate uses images from all parts of the group. Raises PermissionDenied unless the user is an admin
    of the dataset.
    """
    require_role(user, window.dataset, Role.ADMIN)
    return _enqueue(window.dataset, user, RebuildPicturesPayload(window=window.pk, estimate=True))


@transaction.atomic
def resume_window_change(*, window: PixelWindow, user: User) -> Job:
    """Resume a stopped change: render the images that still show earlier values.

    Raises PermissionDenied unless the user is an admin of the dataset.
    """
    require_role(user, window.dataset, Role.ADMIN)
    return _enqueue(window.dataset, user, RebuildPicturesPayload(window=window.pk))


@transaction.atomic
def rebuild_old_pictures(*, dataset: Dataset, user: User) -> Job:
    """Start a job that renders the images that a version before 0.2 imported.

    Raises PermissionDenied unless the user is an admin of the dataset.
    """
    require_role(user, dataset, Role.ADMIN)
    return _enqueue(dataset, user, RebuildPicturesPayload())


def rebuild_images_of_changed_cameras(*, dataset: Dataset, user: User | None) -> None:
    """Start jobs that render the images that an import moved to the window of another camera."""
    moved = PixelWindow.objects.filter(dataset=dataset, images__window_version=0).distinct()
    for window in moved:
        _enqueue(dataset, user, RebuildPicturesPayload(window=window.pk))


def _enqueue(dataset: Dataset, user: User | None, payload: RebuildPicturesPayload) -> Job:
    key = f"rebuild_pictures:{dataset.pk}:{'old' if payload.window is None else payload.window}"
    return enqueue(kind=Kind.REBUILD_PICTURES, dataset=dataset, key=key, payload=payload.as_json(), user=user)


def reestimate_window(
    *, window: PixelWindow, files: Iterable[bytes], user: User | None, max_pixels: int
) -> None:
    """Estimate a window from these files and store it.

    The worker calls it before it renders pictures again. Values that a user set since `window` was read are
    kept. `window` then has the stored values.
    """
    values = []
    for data in files:
        try:
            values.append(imaging.deep_values(data, max_pixels=max_pixels))
        except (imaging.ImagingError, MemoryError):
            continue
    values = [some for some in values if len(some)]
    if not values:
        return
    estimated = imaging.estimate(values, np.dtype(window.sample))
    with transaction.atomic():
        row = PixelWindow.objects.select_for_update(no_key=True).filter(pk=window.pk).first()
        if row is None:
            return
        same = (row.black, row.white) == (estimated.black, estimated.white)
        if row.version == window.version and not same:
            row.black, row.white, row.estimated_from = estimated.black, estimated.white, len(values)
            row.version += 1
            row.save(update_fields=["black", "white", "estimated_from", "version"])
            record(
                kind="window.estimated",
                actor=user,
                dataset=row.dataset,
                target=row,
                data={
                    "camera": row.camera,
                    "sample": row.sample,
                    "black": estimated.black,
                    "white": estimated.white,
                },
            )
    window.black, window.white = row.black, row.white
    window.estimated_from, window.version = row.estimated_from, row.version


def rebuild_picture(*, image: Image, windows: PixelWindows, max_pixels: int) -> None:
    """Render an image's thumbnail and display file again, and update its row.

    Raises ProblemError if the original cannot be read, and FileNotFoundError if it is missing. Nothing is
    changed then.
    """
    with storage.open_original(image) as file:
        data = file.read()
    group = (camera_of(image.metadata), imaging.deep_sample(data))
    if image.window is not None:
        window: PixelWindow | None = image.window  # its metadata may have changed since; the group stays
    else:
        if windows.missing([group]):
            windows.estimate(group, [data], max_pixels=max_pixels)
        window = windows.window_of(group)
    levels = None if window is None else imaging.Window(window.black, window.white)
    picture = pictures.read_picture(data, max_pixels=max_pixels, window=levels)
    display = storage.display_name(image.dataset_id, image.sha256)
    if picture.display is not None:
        storage.write_atomically(display, picture.display)
    storage.write_atomically(storage.thumb_name(image.dataset_id, image.sha256), picture.thumb)
    Image.objects.filter(pk=image.pk).update(
        window=window,
        window_version=window.version if window is not None else 0,
        has_display=picture.display is not None,
        rendition=image.rendition + 1,
    )
