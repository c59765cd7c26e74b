"""Messages of learning: reasons for a promotion, logs of trainings, repeated trainings, and searches."""

from typing import Any

from mekiki.config.messages import Messages, Values, gettext_noop, ngettext_noop, when
from mekiki.jobs.errors import for_reader
from mekiki.learning.figures import count, decimal, percent
from mekiki.learning.models import Head

# Why an image has no embedding. The text itself is stored.
KILLS_WORKER = gettext_noop("the worker ended unexpectedly, several times, while it read this image")

# -- why a head did or did not replace the head in use ------------------------------------------------------

REASONS = Messages("reasons of a promotion")
_AUDITED = when(
    "audited",
    gettext_noop(
        "On %(n)d audited images it is right %(challenger)d times, the head before it %(champion)d times."
    ),
    n="audited",
    challenger="challenger_right",
    champion="champion_right",
)
REASONS.add("text", "%(text)s")  # a plain sentence of an older version
REASONS.add("first_head", gettext_noop("The first head of this dataset: it uses the prompts alone."))
REASONS.add("new_prompts", gettext_noop("Prompts or labels changed: predictions by the new prompts."))
REASONS.add(
    "new_encoder",
    gettext_noop("The dataset was switched over to the encoder %(name)s."),
    name="encoder",
)
REASONS.add("for_encoder", gettext_noop("Made for the encoder %(name)s."), name="encoder")
REASONS.add("taken_back", gettext_noop("The change of the encoder was reverted to %(name)s."), name="encoder")
REASONS.add(
    "labels_changed",
    gettext_noop("Labels were added or archived since the head in use was made: it had to be replaced."),
    _AUDITED,
)
REASONS.add(
    "better_than_prompts",
    gettext_noop(
        "Better than the prompts alone on the reviewed labels. Log-loss %(head).3f against %(prompts).3f, "
        "cross-validated."
    ),
    _AUDITED,
    head="log_loss",
    prompts="prompts_log_loss",
)
REASONS.add(
    "worse_than_prompts",
    gettext_noop(
        "Not used: not better than the prompts alone on the reviewed labels. Log-loss %(head).3f against "
        "%(prompts).3f, cross-validated. Review more images, then retrain."
    ),
    head="log_loss",
    prompts="prompts_log_loss",
)
REASONS.add(
    "worse_on_audit",
    gettext_noop(
        "Not used: the head in use is better. On %(n)d audited images the new head is right %(challenger)d"
        " times, the head in use %(champion)d times; a difference like this is rarely chance (p = %(p).3f)."
    ),
    n="audited",
    challenger="challenger_right",
    champion="champion_right",
)
REASONS.add(
    "few_labels",
    ngettext_noop(
        "%(n)d label is too few to cross-validate: the head uses the prompts as a prior and the labels. Its "
        "confidence is not calibrated yet.",
        "%(n)d labels are too few to cross-validate: the head uses the prompts as a prior and the labels. "
        "Its confidence is not calibrated yet.",
        "labels",
    ),
    _AUDITED,
    n="labels",
)
REASONS.add(
    "same_head",
    gettext_noop("Nothing changed since the head in use was trained: the same labels, prompts and code."),
)
REASONS.add(
    "no_labels",
    gettext_noop(
        "Training is not possible yet: no image outside the audit sample has a confirmed label. Review some"
        " images, then retrain."
    ),
)
REASONS.add("no_embeddings", gettext_noop("No image has an embedding yet. Bring in images first."))
REASONS.add(
    "encoding_first",
    gettext_noop(
        "The weights of the encoder were replaced on this machine. The images are embedded again first, and"
        " the head in use stays until then. The page of the encoder shows the progress."
    ),
)
REASONS.add(
    "encoder_switched",
    gettext_noop(
        "Not used: the dataset was switched over to another encoder before this run had ended. Retrain to "
        "get a head for the encoder in use."
    ),
)
REASONS.add(
    "by_hand",
    when(lambda v: not v.get("user"), gettext_noop("Chosen manually.")),
    when("user", gettext_noop("Chosen manually by %(user)s.")),
)
REASONS.add("failed", gettext_noop("The run failed: %(error)s"), error=for_reader)
REASONS.add("cancelled", gettext_noop("The run was cancelled. The head in use stays."))

# -- the log of a training ----------------------------------------------------------------------------------


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
TRAINING_LOG.add("failed", gettext_noop("The run failed: %(error)s"), error=for_reader)
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

# -- a repeated training ------------------------------------------------------------------------------------


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

# -- searches by text (search/texts.py) ---------------------------------------------------------------------

SEARCHES = Messages("searches by text", missing="?")
SEARCHES.add(
    "empty",
    gettext_noop("This text contains no word to search for. Describe what the images should show."),
)
SEARCHES.add(
    "long", gettext_noop("This text is too long to search for: at most %(most)d characters fit. Shorten it.")
)
SEARCHES.add(
    "too_long",
    gettext_noop(
        "The encoder cannot read the whole text: it has %(count)s tokens, and %(most)s fit. Nothing was"
        " searched for. Shorten it."
    ),
)
SEARCHES.add(
    "not_loaded",
    gettext_noop(
        "The encoder that reads texts could not be loaded (%(reason)s). The gallery and its filters work; "
        "“More like this” does too. Try again in a minute, or tell the person who runs this installation."
    ),
)
SEARCHES.add(
    "other_weights",
    gettext_noop(
        "The encoder's weights on the worker differ from the weights that embedded the images, so texts and"
        " images cannot be compared. The images are being embedded again; after that you can search by text."
    ),
)
SEARCHES.add(
    "other_vectors",
    gettext_noop(
        "The search worker computes different vectors from the same weights than recorded, so texts and"
        " images cannot be compared. The gallery, its filters and “More like this” work. Tell the person who"
        " runs this installation; the page of the encoder shows details."
    ),
)
SEARCHES.add("busy", gettext_noop("Too many searches wait for an answer. Wait a moment, then search again."))
SEARCHES.add(
    "not_sent",
    gettext_noop(
        "The search worker cannot be reached now, so this text was not searched for. The gallery and its "
        "filters work, and so does “More like this”. Try again in a minute, or tell the person who runs this "
        "installation."
    ),
)
SEARCHES.add(
    "no_worker",
    gettext_noop(
        "The search worker has not answered for a minute. The gallery and its filters work, and so does "
        "“More like this”. Try again in a minute, or tell the person who runs this installation."
    ),
)
