"""How long reviewers take for a blind decision, for the reviewing time of a plan."""

from dataclasses import dataclass
from statistics import median

from mekiki.datasets.models import Dataset
from mekiki.review.models import LABELLING_KINDS, Decision

# Seconds for a blind decision if too few were measured.
ASSUMED_SECONDS = 4.0
# With fewer decisions the assumption is used.
LEAST_MEASURED = 10
# The newest decisions that are looked at. A longer decision contains a pause.
NEWEST = 2_000
PAUSE_MS = 60_000


@dataclass(frozen=True)
class Pace:
    """Median seconds of one blind decision, and how many were measured (0: the seconds are assumed)."""

    seconds: float
    measured: int


def blind_pace(dataset: Dataset) -> Pace:
    """Return the pace of the dataset's reviewers on blind images outside the grid, from the newest ones."""
    newest = Decision.objects.filter(dataset=dataset, kind__in=LABELLING_KINDS).order_by("-pk")
    rows = newest.values_list("milliseconds", "shown__blind", "shown__grid")[:NEWEST]
    times = [ms for ms, blind, grid in rows if blind and grid is None and ms is not None and ms <= PAUSE_MS]
    if len(times) < LEAST_MEASURED:
        return Pace(ASSUMED_SECONDS, 0)
    return Pace(round(median(times) / 1000, 2), len(times))
