"""The next sensible action in a dataset, as one button, decided from a few facts."""

from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from mekiki.accounts.access import includes_role
from mekiki.accounts.models import Role
from mekiki.datasets.models import Dataset
from mekiki.labeling.selectors import active_labels, current_prompt_set, prompts_of
from mekiki.learning.models import TrainingRun
from mekiki.review.models import ConfirmedLabel
from mekiki.web.numbers import DatasetSummary

# A head trained with fewer new labels hardly differs from the last one, so "retrain" is not offered.
MIN_NEW_LABELS = 10


@dataclass(frozen=True)
class Facts:
    """Facts that decide the next action. `new_labels` were confirmed since training was last requested."""

    role: str
    images: int = 0
    labels: int = 0
    prompted_labels: int = 0
    jobs: int = 0
    waiting: int = 0
    confirmed: int = 0
    exported: int = 0
    new_labels: int = 0


@dataclass(frozen=True)
class Step:
    """One action.

    `url_name` takes the dataset's slug. With `post`, the button acts at once instead of opening a page.
    """

    code: str
    title: str
    text: str
    action: str = ""
    url_name: str = ""
    post: bool = False


def choose_next_step(facts: Facts) -> Step:
    """Return the first action that unblocks the loop, else an action that its results allow."""
    admin = includes_role(facts.role, Role.ADMIN)
    reviewer = includes_role(facts.role, Role.REVIEWER)
    if not (facts.labels and facts.prompted_labels and facts.images):
        return _set_up(facts) if admin else _wait_for_admin()
    if facts.waiting and reviewer:
        return Step(
            "review",
            ngettext("%(n)d image waits for an answer", "%(n)d images wait for an answer", facts.waiting)
            % {"n": facts.waiting},
            _("Answers about these images improve the model most. One key for each image."),
            _("Review"),
            "review",
        )
    if facts.jobs:
        return Step(
            "wait",
            _("The platform is working"),
            _("Images to review appear automatically. You may leave this page."),
            _("See what runs"),
            "activity",
        )
    if admin and facts.new_labels >= MIN_NEW_LABELS:
        return Step(
            "retrain",
            ngettext(
                "%(n)d label is new since the last training",
                "%(n)d labels are new since the last training",
                facts.new_labels,
            )
            % {"n": facts.new_labels},
            _("A head trained on them replaces the present one only if it is better."),
            _("Retrain now"),
            "train",
            post=True,
        )
    if admin and facts.confirmed > facts.exported:
        return Step(
            "freeze",
            ngettext(
                "%(n)d confirmed label can be frozen", "%(n)d confirmed labels can be frozen", facts.confirmed
            )
            % {"n": facts.confirmed},
            _(
                "A label set never changes after it is frozen. It holds the origin of every label and "
                "can be checked offline."
            ),
            _("Freeze a label set"),
            "exports",
        )
    return Step(
        "look",
        _("Nothing waits for you"),
        _("Look through the images and the predictions of the model."),
        _("See the images"),
        "images",
    )


def _set_up(facts: Facts) -> Step:
    if not facts.labels:
        return Step(
            "labels",
            _("Define what to judge"),
            _("Name the labels, and describe each in a sentence or two. The model starts from these words."),
            _("Write labels and prompts"),
            "labels",
        )
    if not facts.prompted_labels:
        return Step(
            "prompts",
            _("Describe each label in words"),
            _("Without a prompt the model cannot predict anything. One sentence a label is enough to begin."),
            _("Write prompts"),
            "labels",
        )
    return Step(
        "images",
        _("Bring in the images"),
        _("Drop files, a folder or a zip. Embeddings and first predictions follow automatically."),
        _("Add images"),
        "import",
    )


def _wait_for_admin() -> Step:
    return Step(
        "not_ready",
        _("This dataset is being set up"),
        _("An admin of the dataset is still preparing the images, labels and prompts."),
    )


def facts_of(dataset: Dataset, standing: DatasetSummary) -> Facts:
    """Return the facts of a dataset. It takes four small queries besides the standing."""
    prompts = prompts_of(current_prompt_set(dataset))
    label_ids = set(active_labels(dataset).values_list("pk", flat=True))
    return Facts(
        role=standing.role,
        images=standing.images,
        labels=len(label_ids),
        prompted_labels=len(label_ids & set(prompts)),
        jobs=len(standing.jobs),
        waiting=standing.waiting,
        confirmed=standing.confirmed,
        exported=standing.exported,
        new_labels=new_labels(dataset),
    )


def new_labels(dataset: Dataset) -> int:
    """Return the number of labels for training that were confirmed since training was last requested."""
    rows = ConfirmedLabel.objects.filter(dataset=dataset, in_training=True)
    last = TrainingRun.objects.filter(dataset=dataset).order_by("-id").values_list("created_at", flat=True)
    since = last.first()
    return (rows.filter(updated_at__gt=since) if since else rows).count()
