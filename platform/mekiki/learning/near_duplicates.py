"""Reads of near-duplicates: the groups in use, and the survey of thresholds."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import F

from mekiki.datasets.models import Dataset
from mekiki.jobs.models import ACTIVE_STATES, Job, Kind
from mekiki.learning.models import GroupedImage, NearDuplicateGrouping, NearDuplicateSurvey

# The thresholds of a survey, highest first.
THRESHOLDS = (0.999, 0.995, 0.99, 0.98, 0.97, 0.95, 0.93, 0.9)


@dataclass(frozen=True)
class SurveyLevel:
    """What one threshold would give.

    groups: number of groups with at least two images. members: images of these groups. largest: images of the
    largest group.
    above: (image id, id of the first image, cosine) of images that just reach the threshold, the lowest
    cosine first.
    below: the same for images that are just below it, the highest cosine first.
    """

    threshold: float
    groups: int
    members: int
    largest: int
    above: list[tuple[int, int, float]]
    below: list[tuple[int, int, float]]


def survey_of(dataset: Dataset) -> NearDuplicateSurvey | None:
    """Return the survey of a dataset, or None."""
    return NearDuplicateSurvey.objects.select_related("encoder", "dataset").filter(dataset=dataset).first()


def levels_of(survey: NearDuplicateSurvey) -> list[SurveyLevel]:
    """Return the levels of a survey, the highest threshold first."""
    return [SurveyLevel(**level) for level in survey.levels]


def grouping_in_use(dataset: Dataset) -> NearDuplicateGrouping | None:
    """Return the grouping whose groups are in use, or None."""
    rows = NearDuplicateGrouping.objects.filter(
        dataset=dataset, grouped_at__isnull=False, ended_at__isnull=True
    )
    return rows.select_related("encoder", "dataset", "created_by").first()


def grouping_under_way(dataset: Dataset) -> NearDuplicateGrouping | None:
    """Return the grouping whose groups are not stored yet, or None."""
    rows = NearDuplicateGrouping.objects.filter(
        dataset=dataset, grouped_at__isnull=True, ended_at__isnull=True
    )
    return rows.first()


def active_grouping_jobs(dataset: Dataset) -> list[Job]:
    """Return the jobs that survey or group near-duplicates now."""
    return list(Job.objects.filter(dataset=dataset, kind=Kind.NEAR_DUPLICATES, state__in=ACTIVE_STATES))


def first_images(dataset: Dataset, image_ids: Iterable[int] | None = None) -> dict[int, int]:
    """Return image id → id of the first image of its group, for all images of groups of two or more.

    image_ids: return only these images.
    """
    grouping = grouping_in_use(dataset)
    if grouping is None:
        return {}
    rows = GroupedImage.objects.filter(grouping=grouping).order_by()
    others = rows.exclude(first=F("image"))
    wanted = rows if image_ids is None else rows.filter(image__in=list(image_ids))
    pairs = wanted.filter(first__in=others.values("first")).values_list("image_id", "first_id")
    return dict(pairs.iterator(chunk_size=10_000))
