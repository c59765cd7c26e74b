"""Wait for the jobs of a dataset, with a progress bar for each job."""

import sys
import time
from typing import Any

from django.core.management.base import CommandError
from tqdm import tqdm

from mekiki.datasets.models import Dataset
from mekiki.jobs.models import ACTIVE_STATES, Job, State


def wait_for_jobs(dataset: Dataset, *, quiet: bool = False, limit: float = 3600) -> None:
    """Wait until no job of the dataset is active.

    Raises CommandError if a job failed, or after `limit` seconds.
    """
    seen = set(
        Job.objects.filter(dataset=dataset).exclude(state__in=ACTIVE_STATES).values_list("pk", flat=True)
    )
    bars: dict[Any, tqdm] = {}
    end = time.monotonic() + limit
    try:
        while True:
            active = list(Job.objects.filter(dataset=dataset, state__in=ACTIVE_STATES).order_by("number"))
            if not quiet:
                for job in active:
                    _show(bars, job)
            failed = Job.objects.filter(dataset=dataset, state=State.FAILED).exclude(pk__in=seen).first()
            if failed is not None:
                raise CommandError(f"{failed.get_kind_display()} failed: {failed.error_for_reader}")
            if not active:
                return
            if time.monotonic() > end:
                raise CommandError(f"{active[0].get_kind_display()} has not ended after {limit:.0f} s.")
            time.sleep(0.1)
    finally:
        for bar in bars.values():
            bar.close()


def _show(bars: dict[Any, tqdm], job: Job) -> None:
    if job.total < 200:  # the job ends so soon that a bar would only flicker
        return
    key = (job.pk, job.stage)
    if key not in bars:
        bars[key] = tqdm(
            total=job.total,
            desc=str(job.stage or job.get_kind_display()),
            unit=f" {job.unit or 'images'}",
            leave=False,
            file=sys.stderr,
            disable=None,
        )
    bars[key].total = job.total
    bars[key].update(job.done - bars[key].n)
