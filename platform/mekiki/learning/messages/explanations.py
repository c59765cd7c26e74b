"""Why the panel Why lacks the prompts or the heat map (learning/explaining)."""

from mekiki.config.messages import Messages, gettext_noop

EXPLANATIONS = Messages("explanations of a prediction", missing="?")
EXPLANATIONS.add(
    "not_loaded",
    gettext_noop(
        "The encoder could not be loaded for this (%(reason)s). The prediction and your answers are not "
        "affected. Try again in a minute, or tell the person who runs this installation."
    ),
)
EXPLANATIONS.add(
    "other_weights",
    gettext_noop(
        "The encoder's weights on the worker differ from the weights behind this prediction, so it cannot be "
        "explained. The images are being embedded again; the next predictions can be explained."
    ),
)
EXPLANATIONS.add(
    "other_vectors",
    gettext_noop(
        "The search worker computes different vectors from the same weights than recorded, so nothing can be "
        "explained here. Tell the person who runs this installation; the page of the encoder shows details."
    ),
)
EXPLANATIONS.add(
    "no_file",
    gettext_noop(
        "The file of this image could not be read, so there is no heat map. The answer is not affected. Tell "
        "the person who runs this installation."
    ),
)
EXPLANATIONS.add(
    "too_slow",
    gettext_noop(
        "One image takes this encoder %(seconds)s s on this machine, too long for a heat map. The other "
        "parts of this panel work."
    ),
)
EXPLANATIONS.add(
    "failed",
    gettext_noop(
        "The heat map could not be computed (%(reason)s). The other parts of this panel work. Try again, or "
        "tell the person who runs this installation."
    ),
)
EXPLANATIONS.add(
    "not_sent",
    gettext_noop(
        "The search worker cannot be reached now. The other parts of this panel work. Try again in a minute, "
        "or tell the person who runs this installation."
    ),
)
EXPLANATIONS.add(
    "no_worker",
    gettext_noop(
        "The search worker has not answered for a minute. The other parts of this panel work. Try again in a "
        "minute, or tell the person who runs this installation."
    ),
)
