"""The log of a training."""

from typing import Any

from mekiki.config.messages import Messages, gettext_noop, ngettext_noop, when
from mekiki.jobs.errors import translate_stored_text
from mekiki.learning.figures import count, decimal, percent
from mekiki.learning.messages.promotion import REASONS
from mekiki.learning.models import Head


def _kind(kind: Any) -> str:
    return str(dict(Head.Kind.choices).get(kind, kind))


def _reason(reason: dict[str, Any]) -> str:
    return REASONS.render(reason["code"], reason)


TRAINING_LOG = Messages("log of a training")
# Codes of the worker's training stage.
TRAINING_LOG.add("tried_again", gettext_noop("Tried again: attempt %(n)s."), n=("attempt", count))
TRAINING_LOG.add(
    "learning_from",
    ngettext_noop(
        "%(labels)s label is used for training; %(images)s images have an embedding.",
        "%(labels)s labels are used for training; %(images)s images have an embedding.",
        "labels",
    ),
    labels=count,
    images=count,
)
TRAINING_LOG.add(
    "without_view",
    ngettext_noop(
        "Left out: the saved view “%(view)s” (%(query)s), which %(shown)s image matches.",
        "Left out: the saved view “%(view)s” (%(query)s), which %(shown)s images match.",
        "images",
    ),
    shown=("images", count),
)
TRAINING_LOG.add(
    "without_images",
    ngettext_noop(
        "Left out: %(shown)s image chosen in the gallery.",
        "Left out: %(shown)s images chosen in the gallery.",
        "images",
    ),
    shown=("images", count),
)
TRAINING_LOG.add(
    "made_with",
    gettext_noop("Encoder %(encoder)s (%(digest)s…), prompt set v%(version)s, seed %(seed)s."),
    version="prompt_set",
)
TRAINING_LOG.add(
    "decisions_differ",
    ngettext_noop(
        "Reviewers disagree about %(shown)s image: it counts for each label by its share of the decisions.",
        "Reviewers disagree about %(shown)s images: they count for each label by its share of the decisions.",
        "images",
    ),
    shown=("images", count),
)
TRAINING_LOG.add(
    "near_duplicates",
    ngettext_noop(
        "%(images)s of them are near-duplicates, in %(shown)s group. Images of a group share a fold.",
        "%(images)s of them are near-duplicates, in %(shown)s groups. Images of a group share a fold.",
        "groups",
    ),
    images=count,
    shown=("groups", count),
)
TRAINING_LOG.add(
    "near_audit_left_out",
    ngettext_noop(
        "%(shown)s label is not used, because a near-duplicate of its image is in the audit reserve.",
        "%(shown)s labels are not used, because a near-duplicate of their images is in the audit reserve.",
        "images",
    ),
    shown=("images", count),
)
TRAINING_LOG.add(
    "predicting",
    ngettext_noop(
        "Head #%(version)s predicts %(shown)s image.",
        "Head #%(version)s predicts %(shown)s images.",
        "images",
    ),
    version="head",
    shown=("images", count),
)
TRAINING_LOG.add(
    "verdict",
    when(lambda v: v["promoted"], gettext_noop("Promoted. %(why)s")),
    when(lambda v: not v["promoted"], gettext_noop("The head in use stays. %(why)s")),
    why=("reason", _reason),
)
TRAINING_LOG.add("stopped", gettext_noop("Stopped by a person."))
TRAINING_LOG.add("failed", gettext_noop("The run failed: %(error)s"), error=translate_stored_text)
# Codes of workers.heads, about the training of a head.
TRAINING_LOG.add(
    "labels",
    gettext_noop(
        "%(seen)s of %(classes)s labels have images to learn from, %(n)s in all; an embedding has "
        "%(dimensions)s dimensions."
    ),
    **dict.fromkeys(("n", "seen", "classes", "dimensions"), count),
)
TRAINING_LOG.add(
    "unlabelled",
    ngettext_noop(
        "%(n)s label has no image for training yet: only its prompts are used.",
        "%(n)s labels have no image for training yet: only their prompts are used.",
        "classes",
    ),
    n=("classes", count),
)
TRAINING_LOG.add(
    "few_labels",
    gettext_noop(
        "Fewer than about two images for each label: a logistic head with the prompts as a prior of fixed "
        "strength, uncalibrated."
    ),
)
TRAINING_LOG.add(
    "candidate",
    when(
        lambda v: v["gap"] > 0,
        gettext_noop("“%(kind)s”: cross-validated log-loss %(loss)s, %(gap)s ± %(error)s above the best."),
        gap=decimal,
        error=("gap_error", decimal),
    ),
    when(
        lambda v: not v["gap"] > 0,
        gettext_noop("“%(kind)s”: cross-validated log-loss %(loss)s, the best."),
    ),
    when("taken", gettext_noop("This kind is used.")),
    kind=_kind,
    loss=("log_loss", decimal),
)
TRAINING_LOG.add(
    "usual_stays",
    gettext_noop("The usual kind stays: the best kind is better by no more than two standard errors."),
)
TRAINING_LOG.add(
    "text_scale",
    gettext_noop(
        "Scale of the prompts: %(scale)s (1 is the scale of the encoder, 0 leaves the prompts out)."
    ),
    scale=lambda value: decimal(value, 2),
)
TRAINING_LOG.add(
    "detail",
    gettext_noop(
        "Heads with different strengths of the local detail are averaged. Heads that use the local detail"
        " have %(weight)s of the weight."
    ),
    weight=percent,
)
TRAINING_LOG.add(
    "cross_validated",
    gettext_noop(
        "On the reviewed labels, cross-validated: accuracy %(agreement)s (prompts alone %(prompts)s),"
        " log-loss %(loss)s, calibration error %(error)s. These images are hard: the figures do not estimate"
        " the accuracy on all images."
    ),
    agreement=("cv_accuracy", percent),
    prompts=("zero_shot_reviewed_accuracy", percent),
    loss=("log_loss", decimal),
    error=("calibration_error", decimal),
)
TRAINING_LOG.add(
    "calibrated",
    gettext_noop("Temperature %(temperature)s; estimated label noise %(noise)s (from out-of-fold scores)."),
    temperature=decimal,
    noise=("label_noise", percent),
)
