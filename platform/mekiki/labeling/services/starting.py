"""The act that gives a new dataset the labels, prompts and guidelines of a template."""

from collections.abc import Sequence

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.datasets.models import Dataset
from mekiki.labeling.models import PromptSet
from mekiki.labeling.services.schema import LabelSpec, set_schema
from mekiki.labeling.starters import LANGUAGES, Starter


def apply_starter(
    *, dataset: Dataset, starter: Starter, language: str, reads: Sequence[str], user: User
) -> PromptSet:
    """Set the labels of a dataset by a template; return the first prompt set.

    `language` is that of the names and of the first prompts. `reads` are the languages that the encoder
    reads; prompts in other languages are left out, unless nothing would be left. Raises PermissionDenied
    unless the user is an admin of the dataset.
    """
    require_role(user, dataset, Role.ADMIN)
    return set_schema(dataset=dataset, labels=starter_specs(starter, language, reads), user=user)


def starter_specs(starter: Starter, language: str, reads: Sequence[str]) -> list[LabelSpec]:
    """Return the labels of a template, as `set_schema` takes them."""
    languages = sorted(LANGUAGES, key=lambda one: one != language)
    languages = [one for one in languages if one in reads] or languages
    return [
        {
            "name": label.name.text(language),
            "prompts": [text for one in languages for text in label.prompts[one]],
            "critical": label.critical,
            "guideline": label.guideline.text(language),
            "guideline_texts": {one: label.guideline.text(one) for one in LANGUAGES if one != language},
        }
        for label in starter.labels
    ]
