"""What went wrong in a dataset and what to do about it: notices on its overview."""

from dataclasses import dataclass

from django.db.models import Max
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from mekiki.datasets.models import Dataset
from mekiki.jobs.models import Job, Kind, State
from mekiki.labeling.selectors import current_prompt_set, long_prompts
from mekiki.learning.models import EncoderChange, EncodingProblem
from mekiki.learning.selectors import open_change


@dataclass(frozen=True)
class Problem:
    """One notice. level: "warn" or "bad". `url_name` takes the dataset's slug."""

    code: str
    level: str
    title: str
    text: str
    action: str
    url_name: str


def problems_of(dataset: Dataset) -> list[Problem]:
    """The worst first. Four or five queries."""
    return [
        *_failed_jobs(dataset),
        *_prepared_encoder(dataset),
        *_unreadable(dataset),
        *_long_prompts(dataset),
    ]


def _failed_jobs(dataset: Dataset) -> list[Problem]:
    """Kinds of work whose latest job failed: a later success of the same kind has mended an earlier failure."""
    latest = Job.objects.filter(dataset=dataset, finished_at__isnull=False).order_by()
    ends = latest.values("kind").annotate(at=Max("finished_at")).values("at")
    failed = Job.objects.filter(dataset=dataset, state=State.FAILED, finished_at__in=ends)
    return [
        Problem(
            "failed_job",
            "bad",
            _("%(work)s: failed") % {"work": Kind(job.kind).label},
            job.error or _("The reason was not recorded; the server's log may tell."),
            _("See what ran"),
            "activity",
        )
        for job in failed.order_by("-finished_at")
    ]


def _prepared_encoder(dataset: Dataset) -> list[Problem]:
    """An encoder that waits for somebody to look at the figures."""
    change = open_change(dataset)
    if change is None or change.state != EncoderChange.State.READY:
        return []
    title = _("The encoder %(name)s is ready to be switched over to") % {"name": change.to_name}
    text = _("An admin compares it with the one in use, then switches over or gives it up.")
    return [Problem("prepared_encoder", "warn", title, text, _("See the figures"), "encoder")]


def _unreadable(dataset: Dataset) -> list[Problem]:
    n = EncodingProblem.objects.filter(image__dataset=dataset).count()
    if not n:
        return []
    title = ngettext("%(n)d image could not be read", "%(n)d images could not be read", n) % {"n": n}
    text = _(
        "They stay in the dataset without a prediction and are not asked about. Send them again as PNG or JPEG."
    )
    return [Problem("unreadable", "warn", title, text, _("See the models"), "models")]


def _long_prompts(dataset: Dataset) -> list[Problem]:
    found = long_prompts(dataset, current_prompt_set(dataset))
    if not found:
        return []
    title = ngettext(
        "%(n)d prompt is too long for the encoder", "%(n)d prompts are too long for the encoder", len(found)
    ) % {"n": len(found)}
    named = ", ".join(f"“{item['label']}”" for item in found[:5])
    text = _("Only its beginning is read. Shorten it: %(labels)s.") % {"labels": named}
    return [Problem("long_prompts", "warn", title, text, _("Edit the prompts"), "labels")]
