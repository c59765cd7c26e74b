"""Why a head did or did not replace the head in use."""

from mekiki.config.messages import Messages, gettext_noop, ngettext_noop, when
from mekiki.jobs.errors import translate_stored_text

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
    "view_changed",
    gettext_noop(
        "Not trained: a filter of the saved view whose images are left out has a value that does not exist "
        "any more. Save the view again, then train without it."
    ),
)
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
REASONS.add("failed", gettext_noop("The run failed: %(error)s"), error=translate_stored_text)
REASONS.add("cancelled", gettext_noop("The run was cancelled. The head in use stays."))
