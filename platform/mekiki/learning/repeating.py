"""The result of training a head again from its own inputs, as a sentence in the user's language.

A result is a JSON object, stored with the job and in the event "head.verified". It contains `outcome`
("same", "different" or "impossible") and the `version` and `digest` of the head. Where they apply, it also
contains `computed` (the resulting digest), `code` (why it is impossible), the booleans `altered`,
`relabelled` and `reembedded`, `code_before` and `code_now` (versions of the training code), and values for
the sentence.
"""

from typing import Any

from mekiki.learning.messages import OBSTACLES, REPETITIONS

SAME, DIFFERENT, IMPOSSIBLE = "same", "different", "impossible"


def sentence(result: dict[str, Any]) -> str:
    """Return the outcome as a sentence, with an explanation. An unknown code is shown with its values."""
    outcome = result.get("outcome", "")
    why = OBSTACLES.render(result.get("code", ""), result) if outcome == IMPOSSIBLE else ""
    return REPETITIONS.render(outcome, result | {"why": why} if why else result)
