"""Reads of drafts of prompts."""

from mekiki.accounts.models import User
from mekiki.datasets.models import Dataset
from mekiki.labeling.models import PromptDraft
from mekiki.labeling.selectors import active_labels, current_prompt_set, prompts_of
from mekiki.labeling.text import clean


def stored_draft(dataset: Dataset, user: User) -> PromptDraft | None:
    """Return the user's draft, or None without one."""
    return PromptDraft.objects.select_related("base").filter(dataset=dataset, user=user).first()


def draft_of(dataset: Dataset, user: User) -> dict[int, str]:
    """Return label id → content of its field, for the labels in use, in their order.

    A label that the draft does not change has its present prompts.
    """
    draft = stored_draft(dataset, user)
    present = prompts_of(current_prompt_set(dataset))
    written = draft.texts if draft is not None else {}
    return {
        label.pk: str(written.get(str(label.pk), "\n".join(present.get(label.pk, []))))
        for label in active_labels(dataset)
    }


def lines_of(text: str) -> list[str]:
    """Return the prompts of a field: its lines, cleaned, without empty and repeated lines."""
    return list(dict.fromkeys(line for line in map(clean, text.splitlines()) if line))
