"""Groups of near-duplicates by the embeddings: a survey of several thresholds, or the groups of one."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mekiki.datasets.models import Dataset
from mekiki.jobs.models import Job
from mekiki.jobs.payloads import NearDuplicatesPayload
from mekiki.learning.models import GroupedImage, NearDuplicateGrouping
from mekiki.learning.near_duplicates import THRESHOLDS, SurveyLevel
from mekiki.learning.selectors import encoder_in_use
from mekiki.learning.services import record_survey, store_groups
from workers.acquisition.near_duplicates import Groups, group_near_duplicates
from workers.embeddings import Mirror, load_mirror
from workers.runner import Report

# A survey compares this number of images, the newest of the dataset: near-duplicates are often neighbours.
MOST_SURVEYED = 20_000
EXAMPLES = 12  # pairs on each side of a threshold; pages leave hidden images out


def run(job: Job, report: Report) -> dict[str, Any]:
    """Store the survey or the groups that the payload asks for. A repeated run stores the same."""
    assert job.dataset is not None
    wanted = NearDuplicatesPayload.of(job).grouping
    if wanted is None:
        return _survey(job.dataset, report)
    grouping = NearDuplicateGrouping.objects.select_related("dataset", "encoder").get(
        pk=wanted, dataset=job.dataset
    )
    return _group(grouping, report) if grouping.ended_at is None else {"ended": True}


def _load(encoder: Any, dataset: Dataset, report: Report) -> Mirror:
    report(stage="reading embeddings")
    return load_mirror(
        encoder, dataset, progress=lambda done, total: report(done=done, total=total, unit="images")
    )


def _survey(dataset: Dataset, report: Report) -> dict[str, Any]:
    encoder = encoder_in_use(dataset)
    if encoder is None:  # the embeddings were removed meanwhile
        return {"images": 0}
    mirror = _load(encoder, dataset, report)
    ids, X = mirror.ids[-MOST_SURVEYED:], np.asarray(mirror.vectors[-MOST_SURVEYED:])
    report(stage="comparing images", done=0, total=len(ids) * len(THRESHOLDS), unit="images")
    levels = []
    for number, threshold in enumerate(THRESHOLDS):
        groups = group_near_duplicates(X, threshold, progress=_progress(report, number * len(ids)))
        levels.append(survey_level(threshold, ids, groups))
    record_survey(dataset=dataset, encoder=encoder, total=len(mirror), images=len(ids), levels=levels)
    return {"images": len(ids)}


def _progress(report: Report, before: int) -> Callable[[int], object]:
    return lambda done: report(done=before + done)


def survey_level(threshold: float, ids: NDArray[np.int64], groups: Groups) -> SurveyLevel:
    """Return the level of a survey for groups of images with these ids (n,)."""
    sizes = np.bincount(groups.first, minlength=len(ids))
    member = groups.first != np.arange(len(ids))

    def pairs(rows: NDArray[np.int64]) -> list[tuple[int, int, float]]:
        return [
            (int(ids[row]), int(ids[groups.nearest[row]]), round(float(groups.cosine[row]), 5))
            for row in rows[:EXAMPLES]
        ]

    order = np.argsort(groups.cosine, kind="stable")
    alone = ~member & (groups.nearest >= 0)
    return SurveyLevel(
        threshold=threshold,
        groups=int((sizes > 1).sum()),
        members=int(sizes[sizes > 1].sum()),
        largest=int(sizes.max(initial=0)),
        above=pairs(order[member[order]]),
        below=pairs(order[::-1][alone[order[::-1]]]),
    )


def _group(grouping: NearDuplicateGrouping, report: Report) -> dict[str, Any]:
    mirror = _load(grouping.encoder, grouping.dataset, report)
    known = _known(grouping, mirror)
    new = np.flatnonzero(known < 0)
    report(stage="comparing images", done=0, total=len(new), unit="images")
    groups = group_near_duplicates(
        mirror.vectors, grouping.threshold, known=known, progress=lambda done: report(done=done)
    )
    report(stage="storing groups")
    cosines = np.where(groups.first[new] == new, 1.0, groups.cosine[new])
    stored = store_groups(
        grouping=grouping,
        image_ids=mirror.ids[new],
        first_ids=mirror.ids[groups.first[new]],
        cosines=cosines,
    )
    if stored is None:
        return {"ended": True}
    return {"images": stored.images, "new": len(new), "groups": stored.groups, "members": stored.members}


def _known(grouping: NearDuplicateGrouping, mirror: Mirror) -> NDArray[np.int64]:
    """Return (n,) the row of the first image of each image that is grouped already; −1 for the others."""
    known = np.full(len(mirror), -1, np.int64)
    rows = GroupedImage.objects.filter(grouping=grouping).values_list("image_id", "first_id")
    pairs = np.array(list(rows.iterator(chunk_size=10_000)), np.int64).reshape(-1, 2)
    image, has_image = mirror.rows_of(pairs[:, 0])
    first, has_first = mirror.rows_of(pairs[:, 1])
    both = has_image & has_first
    known[image[both]] = first[both]
    return known
