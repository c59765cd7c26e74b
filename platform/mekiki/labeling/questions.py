"""The questions of the labels page before it saves a change with consequences.

Such a change takes labels away from heads, figures or people.
"""

from dataclasses import dataclass

from django.utils.translation import gettext as _

from mekiki.datasets.models import Dataset
from mekiki.labeling.effects import effects_of, effects_sentence
from mekiki.labeling.models import Label
from mekiki.labeling.selectors import active_labels, current_prompt_set, prompts_of
from mekiki.labeling.services import LabelSpec
from mekiki.labeling.text import name_key

REMOVE = "remove-"
CRITICAL = "critical-"


@dataclass(frozen=True)
class Question:
    """A change that is saved only if the submitted form confirms its `key`."""

    key: str
    text: str


def confirmation_questions(dataset: Dataset, specs: list[LabelSpec]) -> list[Question]:
    """Return the questions to ask before the schema becomes `specs`.

    Questions about removed labels come first, then questions about removed critical marks. Both are in the
    order of the keys.
    """
    present = list(active_labels(dataset))
    by_id = {spec["id"]: spec for spec in specs if spec.get("id")}
    names = {name_key(spec["name"]) for spec in specs if not spec.get("id")}
    removed = [label for label in present if label.pk not in by_id and name_key(label.name) not in names]
    prompts = prompts_of(current_prompt_set(dataset))
    sentences = [
        Question(
            f"{REMOVE}{effects.label.pk}", effects_sentence(effects, len(prompts.get(effects.label.pk, [])))
        )
        for effects in effects_of(removed)
        if effects.needs_asking
    ]
    unticked = [
        label
        for label in present
        if label.critical and label.pk in by_id and not by_id[label.pk].get("critical")
    ]
    # A machine cannot have set a label that no head knows.
    return sentences + [
        Question(f"{CRITICAL}{held.label.pk}", _critical_removed_text(held.label))
        for held in effects_of(unticked)
        if held.heads or held.needs_asking
    ]


def _critical_removed_text(label: Label) -> str:
    return _(
        "“%(label)s” is no longer critical. From now on label sets can contain machine labels of it. "
        "The first page of such a label set states that the label was critical, and until when."
    ) % {"label": label.name}


def confirmed_labels(keys: list[str]) -> set[int]:
    """Return the ids of the labels whose removal was confirmed."""
    numbers = [key.removeprefix(REMOVE) for key in keys if key.startswith(REMOVE)]
    return {int(number) for number in numbers if number.isascii() and number.isdigit() and len(number) < 19}
