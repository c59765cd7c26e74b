"""The result of training a head again from its own inputs, as a sentence in the user's language.

A result is a JSON object, stored with the job and in the event "head.verified". It contains `outcome`
("same", "different" or "impossible") and the `version` and `digest` of the head. Where they apply, it also
contains `computed` (the resulting digest), `code` (why it is impossible), the booleans `altered`,
`relabelled` and `reembedded`, `code_before` and `code_now` (versions of the training code), and values for
the sentence.
"""

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

SAME, DIFFERENT, IMPOSSIBLE = "same", "different", "impossible"


def sentence(result: dict[str, Any]) -> str:
    """Return the outcome as a sentence, with an explanation. An unknown code is shown unchanged."""
    tell = {SAME: _same, DIFFERENT: _different, IMPOSSIBLE: _impossible}.get(result.get("outcome", ""))
    try:
        return tell(result) if tell else str(result.get("outcome", ""))
    except (KeyError, TypeError, ValueError):
        return str(result.get("code") or result.get("outcome", ""))


def _same(v: dict[str, Any]) -> str:
    text = _("The repeated training gave the same digest, %(digest)s.") % {"digest": v["digest"]}
    return text + (" " + _relabelled() if v.get("relabelled") else "")


def _different(v: dict[str, Any]) -> str:
    parts = []
    if v.get("altered"):
        parts.append(
            _(
                "The digest of the stored weights differs from the recorded digest %(digest)s: they "
                "were changed since."
            )
            % {"digest": v["digest"]}
        )
    if v.get("computed") and v["computed"] != v["digest"]:
        parts.append(
            _("The repeated training gave a different digest: %(computed)s instead of %(digest)s.")
            % {"computed": v["computed"], "digest": v["digest"]}
        )
    elif v.get("altered"):
        parts.append(_("Repeating the training gives the recorded digest."))
    explained = []
    if v.get("code_before") != v.get("code_now"):
        explained.append(
            _(
                "The code that makes heads has changed since (%(before)s, now %(now)s), so the same digest "
                "cannot be expected."
            )
            % {"before": v["code_before"], "now": v["code_now"]}
        )
    if v.get("reembedded"):
        explained.append(
            _("The embeddings were removed since and computed again, which may slightly change the numbers.")
        )
    if v.get("relabelled"):
        explained.append(_relabelled())
    if not explained and not v.get("altered"):
        explained.append(
            _(
                "The records show no later change. Either the head was not trained on these labels, "
                "or this worker computes slightly different numbers (another processor, or other "
                "versions of its libraries)."
            )
        )
    return " ".join(parts + explained)


def _relabelled() -> str:
    return _(
        "The labels on record do not have the digest that was recorded at training: a label was "
        "renamed since, or the record was changed."
    )


def _impossible(v: dict[str, Any]) -> str:
    why = {
        "encoder_gone": lambda: (
            _("The encoder %(name)s cannot be loaded any more: %(error)s")
            % {"name": v["name"], "error": v["error"]}
        ),
        "encoder_other": lambda: (
            _(
                "The weights of %(name)s (now %(now)s…) differ from the weights at training "
                "(%(then)s…), or this worker computes with another precision."
            )
            % {"name": v["name"], "now": v["now"][:12], "then": v["then"][:12]}
        ),
        "embeddings_gone": lambda: (
            ngettext(
                "The embedding of %(n)d of its %(total)d training images is gone: it was removed.",
                "The embeddings of %(n)d of its %(total)d training images are gone: they were removed.",
                v["missing"],
            )
            % {"n": v["missing"], "total": v["total"]}
        ),
        "images_deleted": lambda: (
            ngettext(
                "%(n)d of the %(total)d labels it was trained on is gone, because its image was deleted.",
                "%(n)d of the %(total)d labels it was trained on are gone, because their images were "
                "deleted.",
                v["missing"],
            )
            % {"n": v["missing"], "total": v["total"]}
        ),
        "labels_gone": lambda: _("Some labels of this head are no longer on record."),
        "prompts_gone": lambda: _("Its prompts are no longer complete: %(error)s") % {"error": v["error"]},
    }.get(v.get("code", ""))
    text = why() if why else str(v.get("code", ""))
    return _("The training cannot be repeated. %(why)s") % {"why": text}
