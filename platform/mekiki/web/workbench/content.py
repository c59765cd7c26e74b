"""What the workbench shows: the draft with its warnings, and the result of a trial with its images."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ValidationError

from mekiki.accounts.models import User
from mekiki.datasets.models import Dataset, Image
from mekiki.labeling.drafts import draft_of, lines_of
from mekiki.labeling.models import Label, PromptSet
from mekiki.labeling.prompt_warnings import PromptWarning, text_warnings, trial_warnings
from mekiki.labeling.selectors import active_labels, current_prompt_set, prompts_of
from mekiki.labeling.text import checked_prompts
from mekiki.learning.prompt_trials import Problem, TrialState, measured_trials, try_prompts
from mekiki.learning.search.serving import serving_encoder
from mekiki.review import blinding

BEST, FLIPS, PAIRS = 9, 9, 6
HARMFUL_FOLDS = 4  # of 5 parts


@dataclass(frozen=True)
class Draft:
    """The prompts that a user tries. `texts` are the fields, `prompts` their lines, by label id."""

    labels: list[Label]
    texts: dict[int, str]
    current: PromptSet | None
    before: dict[int, list[str]]

    @property
    def prompts(self) -> dict[int, list[str]]:
        """Return label id → prompts."""
        return {pk: lines_of(text) for pk, text in self.texts.items()}

    @property
    def names(self) -> dict[int, str]:
        """Return label id → name."""
        return {label.pk: label.name for label in self.labels}

    @property
    def is_changed(self) -> bool:
        """Return whether saving the draft would make another version."""
        return any(prompts != self.before.get(pk, []) for pk, prompts in self.prompts.items())


@dataclass(frozen=True)
class LabelLine:
    """A label in the list of labels: images now, the change, and the number of warnings."""

    label: Label
    now: int | None
    before: int | None
    warnings: int
    selected: bool

    @property
    def change(self) -> int:
        """Return by how many images the label grows or shrinks."""
        return (self.now or 0) - self.before if self.before is not None and self.now is not None else 0


@dataclass(frozen=True)
class Flip:
    """Images that change from one label to another, with examples."""

    before: Label
    now: Label
    number: int
    images: list[Image]


@dataclass(frozen=True)
class PromptLine:
    """A prompt of the selected label with its effect."""

    text: str
    best: int
    brought: int | None
    driven: int | None
    helped: int | None = None
    hurt: int | None = None
    hurt_folds: int = 0

    @property
    def is_harmful(self) -> bool:
        """Return whether the prompt hurts in nearly all parts of the reviewed images."""
        return self.hurt_folds >= HARMFUL_FOLDS


@dataclass(frozen=True)
class Pair:
    """Two labels that the encoder may confuse. `between`: images whose two best labels are these."""

    first: Label
    second: Label
    similarity: float
    between: int


@dataclass(frozen=True)
class Result:
    """The result of a trial as the page shows it for one label."""

    images: int
    changed: int
    compared: bool
    best: list[Image]
    flips: list[Flip]
    other_changes: int
    prompts: list[PromptLine]
    pairs: list[Pair]
    accuracy: dict[str, Any] | None
    reviewed: dict[str, Any] | None
    measured: int


@dataclass(frozen=True)
class Content:
    """Everything beside the form."""

    draft: Draft
    selected: Label
    state: TrialState
    errors: list[str]
    lines: list[LabelLine]
    warnings: list[PromptWarning] = field(default_factory=list)
    result: Result | None = None


def load_draft(dataset: Dataset, user: User) -> Draft:
    """Return the user's draft, or the present prompts without one."""
    current = current_prompt_set(dataset)
    return Draft(list(active_labels(dataset)), draft_of(dataset, user), current, prompts_of(current))


def load_content(dataset: Dataset, user: User, draft: Draft, selected: Label, *, wait: float) -> Content:
    """Return what the draft would change. Wait up to `wait` seconds for the worker."""
    errors = _errors(draft)
    state = _state(dataset, user, draft, errors, wait)
    warnings = text_warnings(
        draft.prompts, {pk: text.splitlines() for pk, text in draft.texts.items()}, draft.names
    )
    if state.result is not None:
        warnings += trial_warnings(state.result, draft.prompts, draft.names)
    return Content(
        draft,
        selected,
        state,
        errors,
        _label_lines(draft, selected, state.result, warnings),
        [warning for warning in warnings if selected.pk in warning.labels],
        _result(dataset, user, draft, selected, state.result) if state.result is not None else None,
    )


def _errors(draft: Draft) -> list[str]:
    """Return why the draft cannot be saved."""
    errors = []
    for label in draft.labels:
        try:
            checked_prompts(draft.texts[label.pk].splitlines(), label.name)
        except ValidationError as error:
            errors += error.messages
    return errors


def _state(dataset: Dataset, user: User, draft: Draft, errors: list[str], wait: float) -> TrialState:
    encoder = serving_encoder(dataset)
    if encoder is None:
        return TrialState(problem=Problem.NO_EMBEDDINGS)
    empty = next((label for label in draft.labels if not draft.prompts[label.pk]), None)
    if empty is not None:
        return TrialState(problem=Problem.NO_PROMPTS, detail={"label": empty.name})
    if errors:
        return TrialState(problem=Problem.FAILED, detail={"reason": errors[0]})
    before = {pk: texts for pk, texts in draft.before.items() if pk in draft.texts}
    return try_prompts(
        dataset=dataset, encoder=encoder, prompts=draft.prompts, before=before, user=user, wait=wait
    )


def _label_lines(
    draft: Draft, selected: Label, result: Mapping[str, Any] | None, warnings: Iterable[PromptWarning]
) -> list[LabelLine]:
    number: dict[int, int] = {}
    for warning in warnings:
        for pk in warning.labels:
            number[pk] = number.get(pk, 0) + 1
    now = dict(zip(result["labels"], result["counts"], strict=True)) if result else {}
    before = dict(zip(result["labels"], result["before"], strict=True)) if result and result["before"] else {}
    return [
        LabelLine(label, now.get(label.pk), before.get(label.pk), number.get(label.pk, 0), label == selected)
        for label in draft.labels
    ]


def _result(dataset: Dataset, user: User, draft: Draft, selected: Label, result: Mapping[str, Any]) -> Result:
    labels = {label.pk: label for label in draft.labels}
    flips = [
        flip
        for flip in result["flips"]
        if selected.pk in flip[:2] and flip[0] in labels and flip[1] in labels
    ]
    best = result["best"].get(str(selected.pk), [])
    images = _visible(dataset, [*best, *(pk for flip in flips for pk in flip[3])])
    shown = [
        Flip(labels[a], labels[b], number, [images[pk] for pk in ids if pk in images][:FLIPS])
        for a, b, number, ids in flips
    ]
    effects = result["prompts"].get(str(selected.pk), [])
    own = [pair for pair in result["pairs"] if selected.pk in pair[:2]]
    others = [pair for pair in result["pairs"] if selected.pk not in pair[:2]]
    pairs = [
        Pair(labels[a], labels[b], similarity, between)
        for a, b, similarity, between, _spread in [*own, *others][:PAIRS]
        if a in labels and b in labels
    ]
    return Result(
        images=result["images"],
        changed=result["changed"],
        compared=result["before"] is not None,
        best=[images[pk] for pk in best if pk in images][:BEST],
        flips=shown,
        other_changes=result["changed"] - sum(flip.number for flip in shown),
        prompts=[
            PromptLine(
                text,
                effect["best"],
                effect["brought"],
                effect["driven"],
                effect.get("helped"),
                effect.get("hurt"),
                effect.get("hurt_folds", 0),
            )
            for text, effect in zip(draft.prompts[selected.pk], effects, strict=False)
        ],
        pairs=pairs,
        accuracy=result["accuracy"],
        reviewed=result["reviewed"],
        measured=measured_trials(dataset, user) if result["accuracy"] else 0,
    )


def _visible(dataset: Dataset, ids: list[int]) -> dict[int, Image]:
    """Return the images by id that may be shown with a predicted label."""
    rows = list(Image.objects.filter(dataset=dataset, pk__in=ids))
    blinding.set_shown_attributes(dataset, rows)
    return {image.pk: image for image in rows if not image.hidden}  # type: ignore[attr-defined]
