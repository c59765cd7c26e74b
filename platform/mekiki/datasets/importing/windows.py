"""The pixel windows of groups of deep images. A group is a camera and a type of values."""

import itertools
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

import imaging
from mekiki.audit.services import record
from mekiki.datasets.models import Dataset, Image, PixelWindow

CAMERA_COLUMNS = ("camera", "カメラ", "camera id", "camera_id", "camera name", "camera_name")
IMAGES_FOR_ESTIMATE = 16
PIXELS_FOR_ESTIMATE = 100_000_000  # sum over these images, so that large images do not delay an import


def camera_of(metadata: dict[str, str] | None) -> str:
    """Return the camera that the metadata names, or "" if it names none."""
    by_name = {str(name).strip().casefold(): value for name, value in (metadata or {}).items()}
    names = (str(by_name[name]).strip() for name in CAMERA_COLUMNS if by_name.get(name))
    return next(names, "")[:200]


def reassign_windows(images: Iterable[Image]) -> None:
    """Assign deep images to the window of the camera that their corrected metadata names.

    The images are not saved. A camera without a window gets a window with the values of the image's former
    window. `window_version` 0 means that the picture must be rendered again.
    """
    for image in images:
        before = image.window
        camera = camera_of(image.metadata)
        if before is None or camera == before.camera:
            continue
        image.window, _created = PixelWindow.objects.get_or_create(
            dataset_id=image.dataset_id,
            camera=camera,
            sample=before.sample,
            defaults={
                "black": before.black,
                "white": before.white,
                "estimated_from": before.estimated_from,
            },
        )
        image.window_version = 0


class PixelWindows:
    """The pixel windows of a dataset, for one import or one rebuild."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._known = {(w.camera, w.sample): w for w in PixelWindow.objects.filter(dataset=dataset)}

    def missing(self, groups: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Return the groups (camera, sample type) that have no window yet."""
        return {group for group in groups if group[1] and group not in self._known}

    def estimate(self, group: tuple[str, str], files: Iterable[bytes], *, max_pixels: int) -> None:
        """Estimate the window of a group from its first images and store it.

        If a window of the group exists already, it is kept.
        """
        camera, sample = group
        values: list[NDArray[np.float64]] = []
        pixels = 0
        for data in itertools.islice(files, IMAGES_FOR_ESTIMATE):
            try:
                header = imaging.inspect(data, max_pixels=max_pixels)
                pixels += header.width * header.height
                if values and pixels > PIXELS_FOR_ESTIMATE:
                    break
                values.append(imaging.deep_values(data, max_pixels=max_pixels))
            except (imaging.ImagingError, MemoryError):
                continue  # the import reports it when it comes to this file
        values = [some for some in values if len(some)]
        if not values:
            return
        estimated = imaging.estimate(values, np.dtype(sample))
        window, created = PixelWindow.objects.get_or_create(
            dataset=self._dataset,
            camera=camera,
            sample=sample,
            defaults={"black": estimated.black, "white": estimated.white, "estimated_from": len(values)},
        )
        if created:
            record(
                kind="window.estimated",
                actor=None,
                dataset=self._dataset,
                target=window,
                data={"camera": camera, "sample": sample, "black": estimated.black, "white": estimated.white},
            )
        self._known[group] = window

    def window_of(self, group: tuple[str, str]) -> PixelWindow | None:
        """Return the window of the group, or None for images of 8 bits."""
        return self._known.get(group)
