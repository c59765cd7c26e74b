"""Template tags for pages of apps that may not import this app: `{% load encoders %}`."""

from dataclasses import dataclass

from django import template
from django.db.models import Q

from mekiki.datasets.models import Dataset
from mekiki.learning import selectors
from mekiki.learning.models import Encoder, EncoderChange, LongPrompt

register = template.Library()


@dataclass(frozen=True)
class LongPrompts:
    """The current prompts that the encoder in use, or a prepared encoder, cannot read to their end."""

    in_use: list[LongPrompt]
    prepared: list[LongPrompt]
    prepared_name: str  # "" without an encoder that is ready to switch


@register.simple_tag
def long_prompts(dataset: Dataset) -> LongPrompts:
    """Return the long prompts of the encoder in use and of the encoder that is ready to switch."""
    change = selectors.open_change(dataset)
    ready = change if change is not None and change.state == EncoderChange.State.READY else None
    prepared = ready.to_encoder_id if ready is not None else None
    encoders = Encoder.objects.filter(Q(head__champion__dataset=dataset) | Q(pk=prepared))
    rows = selectors.long_prompts(dataset, encoders)
    return LongPrompts(
        [row for row in rows if row.encoder_id != prepared],
        [row for row in rows if row.encoder_id == prepared],
        ready.to_name if ready is not None else "",
    )


@register.simple_tag
def long_prompts_of(change: EncoderChange) -> list[LongPrompt]:
    """Return the current prompts that the new encoder of a change cannot read to their end."""
    return selectors.long_prompts(change.dataset, [change.to_encoder_id] if change.to_encoder_id else [])
