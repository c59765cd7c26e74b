"""Warnings about prompts: from the texts alone, and from the result of a trial (learning.prompt_trials).

A warning never prevents saving.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mekiki.labeling.messages import WARNINGS
from mekiki.labeling.text import name_key

# Two labels whose logits differ by less than this standard deviation over the images are nearly the same to
# the encoder. On NEU photographs with `pocket`: 0.1 for “a scratch on metal” and “a scratch on a metal”, 0.4
# with and without “without”, 0.6 for one word in two languages, 1.6 and more for different things.
NEARLY_SAME = 0.7
# A prompt that is nearest to more images than this share attracts everything. With two labels one of them
# may be that frequent.
MOST_OF_ALL, MOST_OF_TWO = 0.8, 0.95

# Text encoders of this kind hardly understand negation (arXiv 2501.09425, "NegBench").
_NEGATION_EN = re.compile(
    r"\b(no|not|without|non|never|free of|free from|absence of|lack of|lacking|isn't|aren't|doesn't|"
    r"un(?:scratched|damaged|broken|marked))\b|-free\b",
    re.IGNORECASE,
)
_NEGATION_JA = re.compile(
    r"(?<!少)(?<!危)(?<!汚)(?<!つ)(?:のない|がない|はない|もない|のなし|なし|無し|無い|ありません|ではない|でない|していない|"
    r"されていない|以外|無欠陥|無傷|未検出)"
)


@dataclass(frozen=True)
class PromptWarning:
    """A warning with its code and the labels that it is about."""

    code: str
    labels: tuple[int, ...]
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """Return what is wrong and what to do, in the reader's language."""
        return WARNINGS.render(self.code, self.values)


def has_negation(prompt: str) -> bool:
    """Return whether an English or Japanese prompt says what is not visible."""
    return bool(_NEGATION_EN.search(prompt) or _NEGATION_JA.search(prompt))


def is_bare_word(prompt: str) -> bool:
    """Return whether a prompt is a word without the thing on which it is seen."""
    text = prompt.strip()
    if text.isascii():
        return len(re.sub(r"^(a|an|the)\s+", "", text, flags=re.IGNORECASE).split()) <= 1
    return len(text) <= 8 and not re.search(r"[のがをにでは]", text)


def text_warnings(
    texts: Mapping[int, Sequence[str]], written: Mapping[int, Sequence[str]], names: Mapping[int, str]
) -> list[PromptWarning]:
    """Return the warnings that need no encoder, in the order of the labels.

    texts: label id → prompts without repetitions. written: label id → lines as they were written.
    """
    warnings: list[PromptWarning] = []
    owner: dict[str, int] = {}
    for label, prompts in texts.items():
        lines = [name_key(line) for line in written.get(label, [])]
        for prompt in prompts:
            key = name_key(prompt)
            other = owner.setdefault(key, label)
            if other != label:
                values = {"prompt": prompt, "label": names[other], "other": names[label]}
                warnings.append(PromptWarning("same_prompt", (other, label), values))
            if lines.count(key) > 1:
                warnings.append(PromptWarning("repeated", (label,), {"prompt": prompt}))
            if has_negation(prompt):
                warnings.append(PromptWarning("negation", (label,), {"prompt": prompt}))
            elif is_bare_word(prompt):
                warnings.append(PromptWarning("bare_word", (label,), {"prompt": prompt}))
    return warnings


def trial_warnings(
    result: Mapping[str, Any], texts: Mapping[int, Sequence[str]], names: Mapping[int, str]
) -> list[PromptWarning]:
    """Return the warnings that follow from the result of a trial of these prompts."""
    warnings = []
    n_labels = len(result["labels"])
    for label, other, _cosine, _between, spread in result["pairs"]:
        if spread < NEARLY_SAME and label in names and other in names:
            values = {"label": names[label], "other": names[other]}
            warnings.append(PromptWarning("nearly_same", (label, other), values))
    limit = MOST_OF_TWO if n_labels == 2 else MOST_OF_ALL
    for label, prompts in texts.items():
        effects = result["prompts"].get(str(label), [])
        for prompt, effect in zip(prompts, effects, strict=False):
            if effect["tokens"] > result["context"]:
                values = {"prompt": prompt, "tokens": effect["tokens"], "most": result["context"]}
                warnings.append(PromptWarning("too_long", (label,), values))
            if n_labels > 1 and effect["best"] > limit * result["images"]:
                share = effect["best"] / result["images"]
                values = {"prompt": prompt, "share": round(share, 4), "label": names[label]}
                warnings.append(PromptWarning("attracts", (label,), values))
    return warnings
