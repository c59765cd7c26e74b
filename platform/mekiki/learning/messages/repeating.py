"""The results of a repeated training, and why a training cannot be repeated."""

from mekiki.config.messages import Messages, Values, gettext_noop, ngettext_noop, when


def _is_other_digest(v: Values) -> bool:
    return bool(v.get("computed")) and v["computed"] != v["digest"]


def _is_other_code(v: Values) -> bool:
    return v.get("code_before") != v.get("code_now")


def _is_unexplained(v: Values) -> bool:
    return not (_is_other_code(v) or any(v.get(name) for name in ("reembedded", "relabelled", "altered")))


def _beginning(digest: str) -> str:
    return digest[:12]


REPETITIONS = Messages("repeated trainings")
_RELABELLED = when(
    "relabelled",
    gettext_noop(
        "The labels on record do not have the digest that was recorded at training: a label was renamed"
        " since, or the record was changed."
    ),
)
REPETITIONS.add("same", gettext_noop("The repeated training gave the same digest, %(digest)s."), _RELABELLED)
REPETITIONS.add(
    "different",
    when(
        "altered",
        gettext_noop(
            "The digest of the stored weights differs from the recorded digest %(digest)s: they were changed"
            " since."
        ),
    ),
    when(
        _is_other_digest,
        gettext_noop("The repeated training gave a different digest: %(computed)s instead of %(digest)s."),
    ),
    when(
        lambda v: v.get("altered") and not _is_other_digest(v),
        gettext_noop("Repeating the training gives the recorded digest."),
    ),
    when(
        _is_other_code,
        gettext_noop(
            "The code that makes heads has changed since (%(before)s, now %(now)s), so the same digest "
            "cannot be expected."
        ),
        before="code_before",
        now="code_now",
    ),
    when(
        "reembedded",
        gettext_noop(
            "The embeddings were removed since and computed again, which may slightly change the numbers."
        ),
    ),
    _RELABELLED,
    when(
        _is_unexplained,
        gettext_noop(
            "The records show no later change. Either the head was not trained on these labels, or this"
            " worker computes slightly different numbers (another processor, or other versions of its"
            " libraries)."
        ),
    ),
)
REPETITIONS.add("impossible", gettext_noop("The training cannot be repeated. %(why)s"))

# Why a training cannot be repeated.
OBSTACLES = Messages("obstacles to repeating a training")
OBSTACLES.add("encoder_gone", gettext_noop("The encoder %(name)s cannot be loaded any more: %(error)s"))
OBSTACLES.add(
    "encoder_other",
    gettext_noop(
        "The weights of %(name)s (now %(now)s…) differ from the weights at training (%(then)s…), or this"
        " worker computes with another precision."
    ),
    now=_beginning,
    then=_beginning,
)
OBSTACLES.add(
    "embeddings_gone",
    ngettext_noop(
        "The embedding of %(n)d of its %(total)d training images is gone: it was removed.",
        "The embeddings of %(n)d of its %(total)d training images are gone: they were removed.",
        "missing",
    ),
    n="missing",
)
OBSTACLES.add(
    "images_deleted",
    ngettext_noop(
        "%(n)d of the %(total)d labels it was trained on is gone, because its image was deleted.",
        "%(n)d of the %(total)d labels it was trained on are gone, because their images were deleted.",
        "missing",
    ),
    n="missing",
)
OBSTACLES.add("labels_gone", gettext_noop("Some labels of this head are no longer on record."))
OBSTACLES.add("prompts_gone", gettext_noop("Its prompts are no longer complete: %(error)s"))
