"""Rendering of thumbnails and display files with the current pixel windows, followed by embedding."""

import logging
from itertools import groupby
from typing import Any

from django.conf import settings
from django.utils.translation import gettext_lazy

from mekiki.datasets.importing.windows import PixelWindows
from mekiki.datasets.left_out import KILLS_WORKER, ORIGINAL_LOST
from mekiki.datasets.models import Dataset, Image, PixelWindow
from mekiki.datasets.problems import ProblemError
from mekiki.datasets.selectors import images_to_rebuild
from mekiki.datasets.services import rebuild_picture, reestimate_window
from mekiki.datasets.storage import open_original
from mekiki.jobs.in_hand import ItemsInHand
from mekiki.jobs.models import Job, Kind
from mekiki.jobs.payloads import RebuildPicturesPayload
from mekiki.jobs.services import enqueue, forget_deaths
from mekiki.learning import models
from mekiki.learning.services import delete_derived_data
from workers.errors import StageError
from workers.runner import Report
from workers.steps.sharing import CHUNK, block_embedding_of_chunk

logger = logging.getLogger(__name__)

IMAGES_FOR_ESTIMATE = 64
# Maximum number of images that the job's entry in the list of activity names. The number of others is given.
MAX_LISTED_IMAGES = 50


def run(job: Job, report: Report) -> dict[str, Any]:
    """Render the images again, then request their embeddings.

    RebuildPicturesPayload chooses the images. If the job is stopped, finished images stay, and the others can
    be requested again.
    """
    dataset = job.dataset
    assert dataset is not None
    payload = RebuildPicturesPayload.of(job)
    window = None
    if payload.window is not None:
        window = PixelWindow.objects.filter(dataset=dataset, pk=payload.window).first()
        if window is None:
            raise StageError(gettext_lazy("The pixel window does not exist any more. Nothing was changed."))
    if window is not None and payload.estimate:
        report(stage="estimating the pixel window")
        _estimate(window, job, report)
    images = images_to_rebuild(dataset, window)
    total = images.count()
    report(stage="making pictures again", done=0, total=total, unit="images")
    encoders = list(models.Encoder.objects.values_list("pk", flat=True))
    windows = PixelWindows(dataset)
    done = 0
    left_out: dict[int, dict[str, Any]] = {}  # image id → reason
    hand = ItemsInHand(f"rebuild {dataset.pk}")
    if hand.just_set_aside:
        forget_deaths(job)
    ids = list(images.values_list("pk", flat=True))
    for number, some in groupby(ids, key=lambda pk: pk // CHUNK):
        chunk = list(some)
        with block_embedding_of_chunk(number, encoders, report):
            made = []
            for image in Image.objects.filter(pk__in=chunk).select_related("window").order_by("pk"):
                done += 1
                if str(image.pk) in hand.set_aside:
                    left_out[image.pk] = {"code": KILLS_WORKER}
                    logger.error("Image %s is left out: workers died while they read it.", image.pk)
                    continue
                hand.begin_alone(str(image.pk))
                try:
                    rebuild_picture(image=image, windows=windows, max_pixels=settings.MAX_PIXELS)
                    made.append(image.pk)
                except (ProblemError, FileNotFoundError) as error:
                    left_out[image.pk] = _reason(error)
                    logger.warning("The pictures of image %s stay as they were: %s", image.pk, error)
                hand.done([str(image.pk)])
                report(done=done)
            delete_derived_data(dataset=dataset, image_ids=made)
    hand.close()
    if done:
        enqueue(kind=Kind.ENCODE, dataset=dataset, user=job.created_by)
    named = [{"image": pk, **why} for pk, why in list(left_out.items())[:MAX_LISTED_IMAGES]]
    return {"rebuilt": done - len(left_out), "unreadable": len(left_out), "left_out": named}


def _reason(error: ProblemError | FileNotFoundError) -> dict[str, Any]:
    if isinstance(error, ProblemError):
        return {"code": error.code, "detail": error.detail}
    return {"code": ORIGINAL_LOST}


def _estimate(window: PixelWindow, job: Job, report: Report) -> None:
    ids = list(window.images.order_by("pk").values_list("pk", flat=True))
    chosen = ids[:: max(1, len(ids) // IMAGES_FOR_ESTIMATE)][:IMAGES_FOR_ESTIMATE]
    # One file at a time: deep images are large.
    reestimate_window(
        window=window,
        files=_files(window.dataset, chosen, report),
        user=job.created_by,
        max_pixels=settings.MAX_PIXELS,
    )


def _files(dataset: Dataset, ids: list[int], report: Report) -> Any:
    for image in Image.objects.filter(dataset=dataset, pk__in=ids).order_by("pk"):
        report()
        try:
            with open_original(image) as file:
                yield file.read()
        except FileNotFoundError:
            continue
