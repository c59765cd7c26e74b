"""The effects of archiving a label. Apps with decisions or heads register how they count them."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from django.core.exceptions import ValidationError

from mekiki.datasets.models import Dataset
from mekiki.labeling.messages import EFFECTS
from mekiki.labeling.models import Label

# Label ids → the count for each label. Labels with count 0 may be missing.
Counter = Callable[[list[int]], dict[int, int]]
_COUNTERS: dict[str, Counter] = {}
_AFTER_RESTORING: list[Callable[[Label], None]] = []
_AFTER_SCHEMA_CHANGE: list[Callable[[Label, str], None]] = []
_AFTER_NEW_PROMPTS: list[Callable[[Dataset], None]] = []


@dataclass(frozen=True)
class ArchivingEffects:
    """The data that depends on one label: confirmed labels, audit images and heads.

    `answers` counts confirmed labels. `audited` counts images of the audit sample under this label, and
    `heads` counts heads that know it. An audited image that was corrected later counts under its first label,
    so `audited` is not a part of `answers`.
    """

    label: Label
    answers: int
    audited: int
    heads: int
    gold: int = 0  # gold images whose known label it is
    waiting: int = 0  # images that wait in the queue with this prediction
    certificates: int = 0  # certificates of the dataset that any change of the labels stops

    @property
    def needs_asking(self) -> bool:
        """Whether archiving the label affects decisions of people, a stated accuracy or a certificate."""
        return bool(self.answers or self.audited or self.gold or self.certificates)


def register_counter(what: str, counter: Counter) -> None:
    """Register how a field of ArchivingEffects is counted. Called by an app when it is ready."""
    _COUNTERS[what] = counter


def register_restore_hook(act: Callable[[Label], None]) -> None:
    """Register a function to call after an archived label is restored, in the same transaction.

    Called by an app when it is ready.
    """
    _AFTER_RESTORING.append(act)


def run_restore_hooks(label: Label) -> None:
    """Call the registered functions for a label that was just restored."""
    for act in _AFTER_RESTORING:
        act(label)


def register_schema_hook(act: Callable[[Label, str], None]) -> None:
    """Register a function to call after a label was added, archived, restored or marked as critical.

    It gets the label and the change ("added", "archived", "restored" or "critical"), in the same transaction.
    Called by an app when it is ready.
    """
    _AFTER_SCHEMA_CHANGE.append(act)


def run_schema_hooks(label: Label, change: str) -> None:
    """Call the registered functions for a label that was just added or changed (register_schema_hook)."""
    for act in _AFTER_SCHEMA_CHANGE:
        act(label, change)


def register_prompts_hook(act: Callable[[Dataset], None]) -> None:
    """Register a function to call after a new version of the prompts, in the same transaction.

    Called by an app when it is ready.
    """
    _AFTER_NEW_PROMPTS.append(act)


def run_prompts_hooks(dataset: Dataset) -> None:
    """Call the registered functions for a dataset that just got a new version of its prompts."""
    for act in _AFTER_NEW_PROMPTS:
        act(dataset)


def effects_of(labels: Iterable[Label]) -> list[ArchivingEffects]:
    """Return the effects of archiving each label, in the order of the labels."""
    wanted = list(labels)
    ids = [label.pk for label in wanted]
    counts = {what: counter(ids) if ids else {} for what, counter in _COUNTERS.items()}

    def of(what: str, label: Label) -> int:
        return counts.get(what, {}).get(label.pk, 0)

    return [
        ArchivingEffects(
            label,
            **{what: of(what, label) for what in ("answers", "audited", "heads")},
            **{what: of(what, label) for what in ("gold", "waiting", "certificates")},
        )
        for label in wanted
    ]


def labels_with_effects(labels: Iterable[Label]) -> set[int]:
    """Return the ids of labels that are a confirmed label of an image or count in the audit sample."""
    return {effect.label.pk for effect in effects_of(labels) if effect.needs_asking}


def effects_sentence(effects: ArchivingEffects, prompts: int) -> str:
    """Return a text that tells a person what archiving the label changes."""
    counts = {"answers": effects.answers, "prompts": prompts, "heads": effects.heads}
    counts |= {"gold": effects.gold, "waiting": effects.waiting, "certificates": effects.certificates}
    return EFFECTS.render("archive", {"label": effects.label.name, "audited": effects.audited, **counts})


def restoring_sentence(effects: ArchivingEffects) -> str:
    """Return a text that tells a person what restoring the label changes."""
    values = {"label": effects.label.name, "answers": effects.answers, "audited": effects.audited}
    return EFFECTS.render("restore", {**values, "certificates": effects.certificates})


def refuse_unconfirmed(
    labels: Collection[Label], prompts: dict[int, list[str]], confirmed: Collection[int]
) -> None:
    """Raise ValidationError for labels with effects whose archiving nobody confirmed.

    `prompts` maps a label id to its prompts. `confirmed` holds the ids of labels whose archiving was
    confirmed.
    """
    unconfirmed = [
        effect
        for effect in effects_of(labels)
        if effect.needs_asking and effect.label.pk not in set(confirmed)
    ]
    if unconfirmed:
        raise ValidationError(
            [
                ValidationError(
                    effects_sentence(effect, len(prompts.get(effect.label.pk, []))), code="confirm_archiving"
                )
                for effect in unconfirmed
            ]
        )
