"""Messages of the panel Why: problems, and texts for its scripts, which fill in the words in braces."""

from mekiki.config.messages import Messages, gettext_noop

# Why a part of the panel is empty (why.py).
WHY_PROBLEMS = Messages("problems of the panel Why")
WHY_PROBLEMS.add(
    "not_embedded",
    gettext_noop(
        "This image has no embedding by the encoder of the prediction, so nothing can be compared with it. "
        "Look at the next image, or wait until the images are embedded again."
    ),
)
WHY_PROBLEMS.add(
    "too_slow",
    gettext_noop(
        "The search for similar images took too long and was stopped. The other parts of this panel work."
    ),
)
WHY_PROBLEMS.add(
    "no_parts",
    gettext_noop(
        "The stored head does not fit these labels, so its score cannot be divided. The prediction is not "
        "affected. Tell the person who runs this installation."
    ),
)

WHY = Messages("texts of the panel Why")
WHY.add("why_loading", gettext_noop("Loading the reasons…"))
WHY.add("why_offline", gettext_noop("The server could not be reached. Close the panel and open it again."))
WHY.add(
    "why_blind",
    gettext_noop(
        "No prediction is shown for this image, so that your answer can be used to measure accuracy. Similar "
        "images would reveal it, so this panel stays empty for this image."
    ),
)
WHY.add("why_none_near", gettext_noop("No confirmed image has this label yet."))
WHY.add("why_near", gettext_noop("Confirmed as {label}"))
WHY.add("why_similarity", gettext_noop("similarity {value}"))
WHY.add("why_by", gettext_noop("by {name}, {when}"))
WHY.add("why_compare", gettext_noop("Compare with {name}: confirmed as {label}, similarity {value}"))
WHY.add("why_prompts_waiting", gettext_noop("The prompts are being compared with the image…"))
WHY.add("why_prompts_of", gettext_noop("Prompts of {label}"))
WHY.add("why_prompt_points", gettext_noop("{points} points, similarity {value}"))
WHY.add("why_lead", gettext_noop("Lead of {label}"))
WHY.add("why_from_prompts", gettext_noop("from prompts"))
WHY.add("why_from_training", gettext_noop("from training"))
WHY.add("why_score", gettext_noop("score"))
WHY.add("why_score_label", gettext_noop("label"))
WHY.add("why_score_caption", gettext_noop("Score in points (logits): the sum of prompts and training"))
WHY.add(
    "why_zero_shot", gettext_noop("This head uses only the prompts; it was not trained on confirmed labels.")
)
WHY.add("why_plain", gettext_noop("This head was trained on confirmed labels without the prompts."))
WHY.add("why_heat", gettext_noop("Show the heat map"))
WHY.add("why_heat_hide", gettext_noop("Hide the heat map"))
WHY.add("why_heat_wait", gettext_noop("Computing the heat map… {percent} %"))
WHY.add(
    "why_heat_queue", gettext_noop("Your previous heat map is still being computed. This heat map follows.")
)
WHY.add("why_heat_again", gettext_noop("Try again"))
WHY.add("why_heat_legend", gettext_noop("orange: supports {label}; blue: supports {other}"))
WHY.add("why_structure", gettext_noop("Show the fine structure"))
WHY.add("why_structure_hide", gettext_noop("Show the heat map again"))
WHY.add("why_structure_legend", gettext_noop("orange: more fine structure than in most of the image"))
WHY.add("why_heat_rest", gettext_noop("the other labels"))
WHY.add("why_heat_frame", gettext_noop("The head sees only the part inside the frame."))

# Places in an image, for the sentence about a heat map.
PLACES = Messages("places in an image")
PLACES.add("upper_left", gettext_noop("in the upper left"))
PLACES.add("top", gettext_noop("at the top"))
PLACES.add("upper_right", gettext_noop("in the upper right"))
PLACES.add("left", gettext_noop("on the left"))
PLACES.add("middle", gettext_noop("in the middle"))
PLACES.add("right", gettext_noop("on the right"))
PLACES.add("lower_left", gettext_noop("in the lower left"))
PLACES.add("bottom", gettext_noop("at the bottom"))
PLACES.add("lower_right", gettext_noop("in the lower right"))

HEAT = Messages("sentences about a heat map")
HEAT.add(
    "strongest",
    gettext_noop("The strongest support for “%(label)s” is %(place)s (%(percent)d %%)."),
)
HEAT.add(
    "two",
    gettext_noop(
        "The strongest support for “%(label)s” is %(place)s (%(percent)d %%), then %(second)s "
        "(%(second_percent)d %%)."
    ),
)
HEAT.add(
    "none",
    gettext_noop(
        "No single part of the image supports “%(label)s”: if a part is blurred, the score hardly changes "
        "or rises."
    ),
)
HEAT.add(
    "structure",
    gettext_noop(
        "Most fine structure is %(place)s (%(percent)d %%). This map describes the image at its native size. "
        "It does not show what the prediction is based on."
    ),
)
HEAT.add("no_structure", gettext_noop("The fine structure is the same everywhere in the image."))
HEAT.add("against", gettext_noop("The strongest part against it is %(place)s."))


def why_texts() -> dict[str, str]:
    """Return the texts of the panel by code, in the reader's language."""
    return {code: WHY.render(code) for code in WHY}
