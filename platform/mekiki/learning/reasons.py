"""Reasons why a head did or did not replace the head in use.

A reason is stored as a code with values and shown as a sentence in the user's language. It is JSON text:
{"code": …, "promoted": bool, and the values that the sentence needs}.
"""

import json
from typing import Any

from mekiki.learning.messages import REASONS
from mekiki.learning.models import Champion, Head


def dump(reason: dict[str, Any]) -> str:
    """Return a reason as the JSON text that is stored."""
    return json.dumps(reason, ensure_ascii=False, sort_keys=True)


def parse(text: str) -> dict[str, Any]:
    """Return a stored reason as a dict: {"code": "text", "text": …} for a plain sentence, {} for none."""
    if not text:
        return {}
    try:
        reason = json.loads(text)
    except ValueError:
        return {"code": "text", "text": text}
    return reason if isinstance(reason, dict) else {"code": "text", "text": text}


def sentence(reason: str | dict[str, Any]) -> str:
    """Return the reason as a sentence, or "" for none. An unknown code is shown with its values."""
    values = parse(reason) if isinstance(reason, str) else reason
    stored = {name: value for name, value in values.items() if name != "code"}
    return REASONS.render(values.get("code", ""), stored) if values else ""


def reason_of(head: Head, in_use: Champion | None = None) -> str:
    """Return the sentence that explains why a head was or was not promoted.

    If the head is in use because a person chose it or changed the encoder, return that reason.
    """
    chosen = {"by_hand", "new_encoder", "taken_back"}
    if in_use is not None and in_use.head_id == head.pk and in_use.reason.get("code") in chosen:
        return sentence(in_use.reason)
    run = getattr(head, "run", None)  # none for a zero-shot head
    if run is not None:
        return sentence(run.reason)
    # Only zero-shot heads and heads of an encoder change have no run. The first head of an encoder is one of
    # them.
    first = not Head.objects.filter(
        dataset_id=head.dataset_id, encoder_id=head.encoder_id, version__lt=head.version
    ).exists()
    if head.version > 1 and (first or head.is_trained):
        return sentence({"code": "for_encoder", "encoder": head.encoder.name})
    return sentence({"code": "first_head" if head.version == 1 else "new_prompts"})
