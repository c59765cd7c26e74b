"""Queries of labels and prompts."""

from datetime import datetime

from django.db.models import Max, QuerySet

from mekiki.datasets.models import Dataset
from mekiki.labeling.effects import effects_of
from mekiki.labeling.models import GuidelineVersion, Label, Prompt, PromptSet, SchemaVersion
from mekiki.labeling.text import name_key


def active_labels(dataset: Dataset) -> QuerySet[Label]:
    """Return the labels of the schema in use, in the order of their keys."""
    return Label.objects.filter(dataset=dataset, archived_at__isnull=True).order_by("position", "id")


def archived_labels(dataset: Dataset) -> QuerySet[Label]:
    """Return the labels that were removed from the schema, the latest first."""
    return Label.objects.filter(dataset=dataset, archived_at__isnull=False).order_by("-archived_at", "-id")


def archived_by_name(dataset: Dataset) -> dict[str, Label]:
    """Return one archived label for each name, with the names as `text.same` returns them.

    If several have the same name, the label with the most answers is used, then the latest.
    """
    by_name: dict[str, Label] = {}
    most: dict[str, int] = {}
    for held in effects_of(archived_labels(dataset)):
        name = name_key(held.label.name)
        if name not in by_name or held.answers > most[name]:
            by_name[name], most[name] = held.label, held.answers
    return by_name


def last_prompts(label: Label) -> list[str]:
    """Return the label's prompts in the newest prompt set that has any, or an empty list."""
    newest = PromptSet.objects.filter(prompts__label=label).order_by("-version").first()
    return prompts_of(newest).get(label.pk, [])


def current_schema(dataset: Dataset) -> SchemaVersion | None:
    """Return the newest version of the labels, or None before the first one was recorded."""
    return SchemaVersion.objects.filter(dataset=dataset).order_by("-version").first()


def last_position(dataset: Dataset) -> int:
    """Return the highest position that a label has or had, or 0 without labels.

    New labels come after it, so that they never take the key of an archived label, which reviewers remember.
    """
    return Label.objects.filter(dataset=dataset).aggregate(last=Max("position"))["last"] or 0


def current_prompt_set(dataset: Dataset) -> PromptSet | None:
    """Return the newest prompt set, or None if there is none."""
    return PromptSet.objects.filter(dataset=dataset).order_by("-version").first()


def prompts_of(prompt_set: PromptSet | None) -> dict[int, list[str]]:
    """Return label id → prompts of the label, in order. The result is empty for None."""
    prompts: dict[int, list[str]] = {}
    if prompt_set is not None:
        rows = Prompt.objects.filter(prompt_set=prompt_set).order_by("label_id", "position")
        for label_id, text in rows.values_list("label_id", "text"):
            prompts.setdefault(label_id, []).append(text)
    return prompts


def can_predict(dataset: Dataset) -> bool:
    """Return whether there are labels and every label has a prompt. Otherwise a prediction would fail."""
    labels = set(active_labels(dataset).values_list("pk", flat=True))
    return bool(labels) and labels <= set(prompts_of(current_prompt_set(dataset)))


def guideline_at(label: Label, moment: datetime) -> GuidelineVersion | None:
    """Return the version of a label's guideline that was valid at a time, or None if there was none.

    `moment` is a time of the database, such as that of a decision, because versions have times of the
    database.
    """
    return label.guideline_versions.filter(created_at__lte=moment).order_by("-version").first()
