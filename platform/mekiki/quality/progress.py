"""Where a person stands in a study, and the next images of this person."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from django.db.models import Count, Max

from mekiki.config import clock
from mekiki.quality.models import Study, StudyImage, StudyReviewer


@dataclass(frozen=True)
class Progress:
    """Where a person stands in a study.

    `run` is the run of the next answer, and `answered` the number of answers in it. `done` means that all
    runs are complete. `waits_until` is the end of the pause before the next run, or None.
    """

    run: int
    runs: int
    answered: int
    images: int
    done: bool
    waits_until: datetime | None


def progress_of(reviewer: StudyReviewer) -> Progress:
    """Return where a person stands in a study."""
    study = reviewer.study
    images = study.images.count()
    counted = reviewer.answers.order_by().values("run").annotate(n=Count("pk"), last=Max("created_at"))
    by_run = {row["run"]: row for row in counted}
    for run in range(1, reviewer.runs + 1):
        answered = by_run[run]["n"] if run in by_run else 0
        if answered < images:
            until = None
            pause = timedelta(hours=study.pause_hours)
            if run > 1 and not answered and not clock.has_passed(pause, by_run[run - 1]["last"]):
                until = by_run[run - 1]["last"] + pause
            return Progress(run, reviewer.runs, answered, images, False, until)
    return Progress(reviewer.runs, reviewer.runs, images, images, True, None)


def order_of_run(reviewer: StudyReviewer, run: int) -> list[int]:
    """Return the ids of the study's images in the random order of this person and run.

    A run never begins with the last image of the run before it, whose answer the person would remember.
    """
    key = f"{reviewer.study.seed}:{reviewer.pk}:{run}"
    ids = reviewer.study.images.order_by().values_list("pk", flat=True)
    order = sorted(ids, key=lambda pk: sha256(f"{key}:{pk}".encode()).digest())
    if run > 1 and order and order[0] == order_of_run(reviewer, run - 1)[-1]:
        order.append(order.pop(0))
    return order


def next_images(reviewer: StudyReviewer, count: int) -> tuple[list[StudyImage], Progress]:
    """Return the next images of a person, in order, and the person's progress. None during a pause."""
    progress = progress_of(reviewer)
    if reviewer.study.state != Study.State.RUNNING or progress.done or progress.waits_until is not None:
        return [], progress
    answered = set(reviewer.answers.filter(run=progress.run).values_list("image_id", flat=True))
    ids = [pk for pk in order_of_run(reviewer, progress.run) if pk not in answered][:count]
    rows = StudyImage.objects.select_related("image").in_bulk(ids)
    return [rows[pk] for pk in ids], progress
