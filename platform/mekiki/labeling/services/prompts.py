"""Versions of the prompts, and the prediction that follows a new version."""

import hashlib
import json

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.audit.services import record
from mekiki.datasets.models import Dataset
from mekiki.jobs.models import Kind
from mekiki.jobs.services import enqueue
from mekiki.labeling.effects import run_prompts_hooks
from mekiki.labeling.models import Prompt, PromptSet
from mekiki.labeling.selectors import active_labels, can_predict, current_prompt_set, prompts_of
from mekiki.labeling.services.label_rows import lock_schema
from mekiki.labeling.text import checked_prompts


@transaction.atomic
def save_prompts(*, dataset: Dataset, prompts: dict[int, list[str]], user: User) -> PromptSet:
    """Freeze the prompts of all active labels as the next version, and start a prediction with them.

    `prompts` maps a label id to sentences. A label that is not in it keeps its prompts. Without a change
    there is no new version. Raises PermissionDenied unless the user is an admin of the dataset. Raises
    ValidationError if there are no labels, a label has no prompt, a prompt is too long, there are too many
    prompts, or a label is not of this dataset.
    """
    require_role(user, dataset, Role.ADMIN)
    lock_schema(dataset)
    labels = list(active_labels(dataset))
    if not labels:
        raise ValidationError(
            _("This dataset has no labels yet. Write at least one label first."), code="no_labels"
        )
    unknown = set(prompts) - {label.pk for label in labels}
    if unknown:
        raise ValidationError(
            _("A prompt was sent for a label that is not in this dataset."), code="unknown_label"
        )
    before = prompts_of(current_prompt_set(dataset))
    texts = {
        label.pk: checked_prompts(prompts.get(label.pk, before.get(label.pk, [])), label.name)
        for label in labels
    }
    prompt_set = create_prompt_set(dataset, texts, user)
    enqueue_prediction(dataset, user)
    return prompt_set


def prompts_digest(texts: dict[int, list[str]]) -> str:
    """Return the SHA-256 of the canonical JSON of label id → prompts.

    Ids are ascending, prompts are in order, and the text is UTF-8.
    """
    canonical = json.dumps(
        [[label_id, texts[label_id]] for label_id in sorted(texts)], ensure_ascii=False, separators=(",", ":")
    )
    return hashlib.sha256(canonical.encode()).hexdigest()


def create_prompt_set(dataset: Dataset, texts: dict[int, list[str]], user: User) -> PromptSet:
    """Create the next version of the prompts, or return the current version if nothing changed."""
    digest = prompts_digest(texts)
    current = current_prompt_set(dataset)
    if current is not None and current.digest == digest:
        return current
    prompt_set = PromptSet.objects.create(
        dataset=dataset,
        version=(current.version if current else 0) + 1,
        digest=digest,
        created_by=user,
    )
    Prompt.objects.bulk_create(
        Prompt(prompt_set=prompt_set, label_id=label_id, text=text, position=position)
        for label_id, sentences in texts.items()
        for position, text in enumerate(sentences, start=1)
    )
    record(
        kind="prompts.saved",
        actor=user,
        dataset=dataset,
        target=prompt_set,
        data={"version": prompt_set.version, "digest": digest, "prompts": sum(map(len, texts.values()))},
    )
    run_prompts_hooks(dataset)
    return prompt_set


def enqueue_prediction(dataset: Dataset, user: User) -> None:
    """Start a prediction, unless the dataset has nothing to predict with."""
    if can_predict(dataset):
        enqueue(kind=Kind.PREDICT, dataset=dataset, user=user)
