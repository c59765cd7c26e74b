"""Versions of the prompts, and the prediction that follows a new version."""

import hashlib
import json
from collections.abc import Iterable

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
from mekiki.labeling.models import Label, Prompt, PromptSet
from mekiki.labeling.selectors import active_labels, can_predict, current_prompt_set, prompts_of
from mekiki.labeling.services.label_rows import lock_schema
from mekiki.labeling.text import checked_prompts, checked_set_name


@transaction.atomic
def save_prompts(*, dataset: Dataset, prompts: dict[int, list[str]], user: User, name: str = "") -> PromptSet:
    """Freeze the prompts of all active labels as the next version, and start a prediction with them.

    `prompts` maps a label id to sentences. A label that is not in it keeps its prompts. Without a change
    there is no new version. `name` is a name of the version. Raises PermissionDenied unless the user is an
    admin of the dataset. Raises ValidationError if there are no labels, a label has no prompt, a prompt is
    too long, there are too many prompts, a label is not of this dataset, or the name is too long.
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
    prompt_set = create_prompt_set(dataset, texts, user, name=checked_set_name(name))
    enqueue_prediction(dataset, user)
    return prompt_set


@transaction.atomic
def use_prompt_set(*, prompt_set: PromptSet, user: User, name: str = "") -> PromptSet:
    """Take the prompts of an earlier version again, as the next version; return it.

    A label that the earlier version does not have keeps its prompts. Prompts of labels that are archived are
    left out. Raises PermissionDenied unless the user is an admin of the dataset. Raises ValidationError if
    the dataset has no labels, or a label has no prompt in either version.
    """
    dataset = prompt_set.dataset
    require_role(user, dataset, Role.ADMIN)
    lock_schema(dataset)
    labels = list(active_labels(dataset))
    if not labels:
        raise ValidationError(
            _("This dataset has no labels yet. Write at least one label first."), code="no_labels"
        )
    texts = {
        label.pk: checked_prompts(prompts, label.name)
        for label, prompts in prompts_taken_from(prompt_set, labels).items()
    }
    taken = create_prompt_set(dataset, texts, user, name=checked_set_name(name), taken_from=prompt_set)
    enqueue_prediction(dataset, user)
    return taken


def prompts_taken_from(prompt_set: PromptSet, labels: Iterable[Label]) -> dict[Label, list[str]]:
    """Return label → prompts if this version is taken again for these labels."""
    earlier, present = prompts_of(prompt_set), prompts_of(current_prompt_set(prompt_set.dataset))
    return {label: earlier.get(label.pk) or present.get(label.pk, []) for label in labels}


def prompts_digest(texts: dict[int, list[str]]) -> str:
    """Return the SHA-256 of the canonical JSON of label id → prompts.

    Ids are ascending, prompts are in order, and the text is UTF-8.
    """
    canonical = json.dumps(
        [[label_id, texts[label_id]] for label_id in sorted(texts)], ensure_ascii=False, separators=(",", ":")
    )
    return hashlib.sha256(canonical.encode()).hexdigest()


def create_prompt_set(
    dataset: Dataset,
    texts: dict[int, list[str]],
    user: User,
    *,
    name: str = "",
    taken_from: PromptSet | None = None,
) -> PromptSet:
    """Create the next version of the prompts, or return the current version if nothing changed."""
    digest = prompts_digest(texts)
    current = current_prompt_set(dataset)
    if current is not None and current.digest == digest:
        return current
    prompt_set = PromptSet.objects.create(
        dataset=dataset,
        version=(current.version if current else 0) + 1,
        name=name,
        digest=digest,
        taken_from=taken_from,
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
        data={
            "version": prompt_set.version,
            "digest": digest,
            "prompts": sum(map(len, texts.values())),
            **({"name": name} if name else {}),
            **({"taken_from": taken_from.version} if taken_from is not None else {}),
        },
    )
    run_prompts_hooks(dataset)
    return prompt_set


def enqueue_prediction(dataset: Dataset, user: User) -> None:
    """Start a prediction, unless the dataset has nothing to predict with."""
    if can_predict(dataset):
        enqueue(kind=Kind.PREDICT, dataset=dataset, user=user)
