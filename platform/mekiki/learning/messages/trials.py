"""Why the prompt workbench has no result (learning.prompt_trials)."""

from mekiki.config.messages import Messages, gettext_noop

TRIALS = Messages("trials of prompts", missing="?")
TRIALS.add(
    "no_embeddings",
    gettext_noop(
        "The workbench shows images as soon as the first images are imported and embedded. Your draft is "
        "kept."
    ),
)
TRIALS.add(
    "no_prompts",
    gettext_noop(
        "The label “%(label)s” has no prompt in this draft. Write at least one sentence for it. The draft is "
        "kept."
    ),
)
TRIALS.add(
    "not_loaded",
    gettext_noop(
        "The encoder could not be loaded (%(reason)s). Your draft is kept. Try again in a minute, or tell "
        "the "
        "person who runs this installation."
    ),
)
TRIALS.add(
    "other_weights",
    gettext_noop(
        "The encoder's weights on the search worker differ from the weights that embedded the images, so the "
        "prompts cannot be tried now. Your draft is kept. The images are being embedded again; try later."
    ),
)
TRIALS.add(
    "other_vectors",
    gettext_noop(
        "The search worker computes different vectors from the same weights than recorded, so the prompts "
        "cannot be tried. Your draft is kept. Tell the person who runs this installation; the page of the "
        "encoder shows details."
    ),
)
TRIALS.add(
    "failed",
    gettext_noop(
        "The prompts could not be tried (%(reason)s). Your draft is kept. Change a prompt and try again, or "
        "tell "
        "the person who runs this installation."
    ),
)
TRIALS.add(
    "not_sent",
    gettext_noop(
        "The search worker cannot be reached now. Your draft is kept. Try again in a minute, or tell the "
        "person "
        "who runs this installation."
    ),
)
TRIALS.add(
    "no_worker",
    gettext_noop(
        "The search worker has not answered for a minute. Your draft is kept. Try again in a minute, or tell "
        "the "
        "person who runs this installation."
    ),
)
