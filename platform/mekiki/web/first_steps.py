"""The first steps of a dataset, from labels to the first certificate. Admins see them until all are done."""

from dataclasses import dataclass

from django.utils.translation import gettext as _

from mekiki.accounts.access import includes_role
from mekiki.accounts.models import Role
from mekiki.datasets.models import Dataset
from mekiki.labeling.selectors import can_predict
from mekiki.learning.models import Head, PromptTrial, TrainingRun
from mekiki.web.numbers import DatasetSummary

# With this number of answers a first training is useful (docs/explanation/heads.md).
ENOUGH_ANSWERS = 30


@dataclass(frozen=True)
class FirstStep:
    """A step with its page. A step is done by what the dataset holds, so it stays done after a reload."""

    code: str
    title: str
    text: str
    url_name: str
    done: bool
    current: bool = False


def first_steps(dataset: Dataset, summary: DatasetSummary) -> list[FirstStep]:
    """Return the steps of a dataset, or an empty list if all are done or the user is no admin."""
    if not includes_role(summary.role, Role.ADMIN):
        return []
    trained = summary.head_kind not in ("", Head.Kind.ZERO_SHOT)
    looked = (
        summary.confirmed > 0
        or trained
        or PromptTrial.objects.filter(dataset=dataset, result__isnull=False).exists()
    )
    facts = (
        ("describe", _("Describe"), _("Labels, and what they look like"), "labels", can_predict(dataset)),
        ("images", _("Images"), _("Files, a folder or a zip"), "import", summary.images > 0),
        ("look", _("Look"), _("What the words find, and what to change"), "workbench", looked),
        (
            "review",
            _("Review"),
            _("About %(n)d answers, one key for each image") % {"n": ENOUGH_ANSWERS},
            "review",
            summary.confirmed >= ENOUGH_ANSWERS or trained,
        ),
        (
            "train",
            _("Train"),
            _("A head learns from the answers"),
            "models",
            trained or TrainingRun.objects.filter(dataset=dataset, head__isnull=False).exists(),
        ),
        (
            "certify",
            _("Certify"),
            _("Labels by machine with a proven error bound"),
            "quality",
            summary.certified > 0,
        ),
    )
    if all(done for *_rest, done in facts):
        return []
    first = next(i for i, fact in enumerate(facts) if not fact[-1])
    return [FirstStep(*fact, current=i == first) for i, fact in enumerate(facts)]
