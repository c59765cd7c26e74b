"""Reasons why a head did or did not replace the head in use.

A reason is stored as a code with values and shown as a sentence in the user's language. It is JSON text:
{"code": …, "promoted": bool, and the values that the sentence needs}.
"""

import json
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from mekiki.jobs.errors import for_reader
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
    """Return the reason as a sentence. An unknown code is shown unchanged, so that no record is hidden."""
    values = parse(reason) if isinstance(reason, str) else reason
    code = values.get("code", "")
    tell = _SENTENCES.get(code)
    try:
        return tell(values) if tell else str(values.get("text", code))
    except (KeyError, TypeError, ValueError):
        return str(code)


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


def _better_than_prompts(v: dict[str, Any]) -> str:
    return _(
        "Better than the prompts alone on the reviewed labels. Log-loss %(head).3f against %(prompts).3f, "
        "cross-validated."
    ) % {"head": v["log_loss"], "prompts": v["prompts_log_loss"]} + _audit(v)


def _worse_than_prompts(v: dict[str, Any]) -> str:
    return _(
        "Not used: not better than the prompts alone on the reviewed labels. Log-loss %(head).3f against "
        "%(prompts).3f, cross-validated. Review more images, then retrain."
    ) % {"head": v["log_loss"], "prompts": v["prompts_log_loss"]}


def _worse_on_audit(v: dict[str, Any]) -> str:
    return _(
        "Not used: the head in use is better. On %(n)d audited images the new head is right "
        "%(challenger)d times, the head in use %(champion)d times; a difference like this is rarely "
        "chance (p = %(p).3f)."
    ) % {
        "n": v["audited"],
        "challenger": v["challenger_right"],
        "champion": v["champion_right"],
        "p": v["p"],
    }


def _few_labels(v: dict[str, Any]) -> str:
    return ngettext(
        "%(n)d label is too few to cross-validate: the head uses the prompts as a prior and the labels. "
        "Its confidence is not calibrated yet.",
        "%(n)d labels are too few to cross-validate: the head uses the prompts as a prior and the labels. "
        "Its confidence is not calibrated yet.",
        v["labels"],
    ) % {"n": v["labels"]} + _audit(v)


def _audit(v: dict[str, Any]) -> str:
    if not v.get("audited"):
        return ""
    return " " + _(
        "On %(n)d audited images it is right %(challenger)d times, the head before it %(champion)d times."
    ) % {"n": v["audited"], "challenger": v["challenger_right"], "champion": v["champion_right"]}


def _by_hand(v: dict[str, Any]) -> str:
    if not v.get("user"):
        return _("Chosen manually.")
    return _("Chosen manually by %(user)s.") % {"user": v["user"]}


_SENTENCES = {
    "first_head": lambda v: _("The first head of this dataset: it uses the prompts alone."),
    "new_prompts": lambda v: _("Prompts or labels changed: predictions by the new prompts."),
    "new_encoder": lambda v: (
        _("The dataset was switched over to the encoder %(name)s.") % {"name": v["encoder"]}
    ),
    "for_encoder": lambda v: _("Made for the encoder %(name)s.") % {"name": v["encoder"]},
    "taken_back": lambda v: _("The change of the encoder was reverted to %(name)s.") % {"name": v["encoder"]},
    "labels_changed": lambda v: (
        _("Labels were added or archived since the head in use was made: it had to be replaced.") + _audit(v)
    ),
    "better_than_prompts": _better_than_prompts,
    "worse_than_prompts": _worse_than_prompts,
    "worse_on_audit": _worse_on_audit,
    "few_labels": _few_labels,
    "same_head": lambda v: _(
        "Nothing changed since the head in use was trained: the same labels, prompts and code."
    ),
    "no_labels": lambda v: _(
        "Training is not possible yet: no image outside the audit sample has a confirmed label. "
        "Review some images, then retrain."
    ),
    "no_embeddings": lambda v: _("No image has an embedding yet. Bring in images first."),
    "encoding_first": lambda v: _(
        "The weights of the encoder were replaced on this machine. The images are embedded again "
        "first, and the head in use stays until then. The page of the encoder shows the progress."
    ),
    "encoder_switched": lambda v: _(
        "Not used: the dataset was switched over to another encoder before this run had ended. Retrain to "
        "get a head "
        "for the encoder in use."
    ),
    "by_hand": _by_hand,
    "failed": lambda v: _("The run failed: %(error)s") % {"error": for_reader(v["error"])},
    "cancelled": lambda v: _("The run was cancelled. The head in use stays."),
}
