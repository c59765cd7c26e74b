"""Messages of review: texts for the scripts of the station, and problems of a search."""

from mekiki.config.messages import Messages, gettext_noop
from mekiki.review.why_messages import HEAT, PLACES, WHY_PROBLEMS, why_texts

__all__ = ["HEAT", "PLACES", "WHY_PROBLEMS", "grid_texts", "station_texts", "why_texts"]

# Texts for the scripts of the station. The scripts fill in the words in braces.
STATION = Messages("texts of the station")
STATION.add("loading", gettext_noop("Loading the next image…"))
STATION.add("image_failed", gettext_noop("This image could not be loaded. Try again, or skip it."))
STATION.add(
    "image_wait", gettext_noop("The image is still loading. Nothing was recorded; answer when it is there.")
)
STATION.add("image_slow", gettext_noop("The image takes long to load. Wait for it, or skip it."))
STATION.add(
    "too_soon",
    gettext_noop("The image has only just appeared. Nothing was recorded; look at it, then answer."),
)
STATION.add(
    "type_again",
    gettext_noop("The image was not shown yet, or another image appeared. Nothing was recorded; type again."),
)
STATION.add(
    "flag_lost",
    gettext_noop(
        "Another image appeared while you wrote the note. Nothing was recorded; look for the previous image"
        " in the gallery."
    ),
)
STATION.add(
    "skip_lost",
    gettext_noop(
        "Another image appeared while the menu was open. Nothing was recorded; skip again if you want."
    ),
)
STATION.add("prediction", gettext_noop("Predicted: {label}, {percent} %"))
STATION.add("prediction_uncalibrated", gettext_noop("Predicted: {label}, {percent} %, uncalibrated"))
STATION.add("uncalibrated", gettext_noop("uncalibrated"))
STATION.add(
    "uncalibrated_why",
    gettext_noop("Not calibrated yet: the number shows which label fits best, not how often it is right."),
)
STATION.add(
    "calibrated_why", gettext_noop("Calibrated: of images with this number, about as many are right.")
)
STATION.add("runner_up", gettext_noop("Second: {label}"))
STATION.add("runner_up_spoken", gettext_noop("Second: {label}, {percent} %"))
STATION.add("adjusted", gettext_noop("Adjusted view."))
STATION.add("none_predicted", gettext_noop("Nothing is predicted for this image yet. Choose a label."))
STATION.add(
    "blind",
    gettext_noop(
        "No prediction is shown for this image, so that your answer can be used to measure accuracy."
    ),
)
STATION.add("confirm", gettext_noop("Confirm: {label}"))
STATION.add("predicted_badge", gettext_noop("predicted"))
STATION.add("second_badge", gettext_noop("second"))
STATION.add("critical_badge", gettext_noop("critical"))
STATION.add("answered_confirm", gettext_noop("Confirmed: {label}"))
STATION.add("answered_correct", gettext_noop("Answered: {label}"))
STATION.add("answered_skip", gettext_noop("Skipped"))
STATION.add("answered_flag", gettext_noop("Flagged"))
STATION.add("undone", gettext_noop("Undone. The image is shown again."))
STATION.add(
    "undone_elsewhere",
    gettext_noop("Undone. Another reviewer has the image now, or it needs no further decision."),
)
STATION.add(
    "undo_wait",
    gettext_noop("There is no connection. Undo when the connection returns; your answers are kept."),
)
STATION.add("nothing_to_undo", gettext_noop("There is no answer left to undo."))
STATION.add("saved", gettext_noop("All answers saved"))
STATION.add("sending", gettext_noop("Sending: {n}"))
STATION.add(
    "offline",
    gettext_noop(
        "No connection. Your answers are kept on this device and sent when the connection returns: {n}"
    ),
)
STATION.add(
    "login",
    gettext_noop("You are no longer logged in. Log in again; your answers are kept on this device: {n}"),
)
STATION.add("not_kept", gettext_noop("One answer was not recorded: {reason}"))
STATION.add(
    "late",
    gettext_noop(
        "This image had passed to another reviewer in the meantime. Your answer is kept as a decision."
    ),
)
STATION.add(
    "lost",
    gettext_noop("While you were away, the image passed to another reviewer. The next image is shown."),
)
STATION.add("empty_title", gettext_noop("Nothing to review right now"))
STATION.add("error", gettext_noop("The server could not be reached. Trying again…"))
STATION.add("per_hour", gettext_noop("{n} an hour"))
STATION.add(
    "find_here", gettext_noop("Type a name. Enter confirms the prediction, Esc goes back to the image.")
)
STATION.add("find_none", gettext_noop("No label matches."))
STATION.add("find_some", gettext_noop("Enter chooses: {label}"))
STATION.add("no_such_key", gettext_noop("There is no label {key}."))
STATION.add("label_none", gettext_noop("no label"))

STATION.add(
    "preferences_kept_here",
    gettext_noop("Your choice could not be saved. It applies until you leave this page. {reason}"),
)
STATION.add("pace_why", gettext_noop("{n} s for each image. Pauses of more than a minute do not count."))
STATION.add("goal_reached", gettext_noop("You have reached your goal: {n} answers."))
STATION.add("break_due", gettext_noop("You have worked for {n} minutes. A short break helps the eyes."))
STATION.add(
    "scan_unknown",
    gettext_noop("No label has the code “{code}”. Nothing was recorded; scan the code of a label."),
)
STATION.add("swipe_labels", gettext_noop("Labels"))
STATION.add("history_loading", gettext_noop("Loading your answers…"))
STATION.add("history_none", gettext_noop("You have no answers in this dataset yet."))
STATION.add(
    "history_unsaved",
    gettext_noop("Some answers are not saved yet. They are listed here when the connection returns."),
)
STATION.add(
    "history_failed",
    gettext_noop("The answers could not be loaded. Your answers are kept; open the history again."),
)
STATION.add(
    "history_not_sent",
    gettext_noop("There is no connection. Nothing was recorded; choose the label again when it returns."),
)
STATION.add(
    "history_login", gettext_noop("You are no longer logged in. Nothing was recorded; log in and try again.")
)
STATION.add("history_same", gettext_noop("Your answer is “{label}” already. Nothing was changed."))
STATION.add("history_blind", gettext_noop("no prediction, so that your answer measures accuracy"))
STATION.add("history_no_prediction", gettext_noop("no prediction"))

# Texts for the script of the page of the keys.
KEYS = Messages("texts of the page of the keys")
KEYS.add("press_key", gettext_noop("Press the new key for “{command}”. Esc keeps the present key."))
KEYS.add("key_kept", gettext_noop("The key was kept."))
KEYS.add("key_saved", gettext_noop("{key} is now the key of “{command}”."))
KEYS.add(
    "key_taken",
    gettext_noop(
        "{key} is the key of “{command}”. Nothing was saved; press another key, or give “{command}” another"
        " key first."
    ),
)
KEYS.add(
    "key_fixed",
    gettext_noop("{key} has a fixed meaning. Nothing was saved; press another key without Ctrl or Alt."),
)
KEYS.add(
    "key_composing",
    gettext_noop(
        "An input method used this key. Nothing was saved; switch to direct input and press it again."
    ),
)
KEYS.add("keys_reset", gettext_noop("The standard keys are in use again."))
KEYS.add("layout_saved", gettext_noop("The layout is saved. Keys of your own were reset."))
KEYS.add("keys_failed", gettext_noop("The keys could not be saved; the former keys stay. {reason}"))
KEYS.add("keyboard_picture", gettext_noop("Keyboard with the commands on its keys. The table lists them."))

# Texts for the scripts of the grid review, beside the texts of the station.
GRID = Messages("texts of the grid review")
GRID.add("grid_loading", gettext_noop("Loading the next page…"))
GRID.add("grid_tile", gettext_noop("{n} of {total}, {name}, predicted: {label}"))
GRID.add("grid_tile_marked", gettext_noop("{n} of {total}, {name}, predicted: {label}, marked: {mark}"))
GRID.add("grid_tile_failed", gettext_noop("The image could not be loaded, so it is skipped."))
GRID.add("grid_mark_skip", gettext_noop("Skip"))
GRID.add("grid_mark_flag", gettext_noop("Flag"))
GRID.add("grid_marked", gettext_noop("Image {n}: marked as {mark}"))
GRID.add("grid_unmarked", gettext_noop("Image {n}: mark removed"))
GRID.add("grid_confirm", gettext_noop("Confirm {n} as {label}"))
GRID.add("grid_confirm_marks", gettext_noop("Record the marks"))
GRID.add("grid_marks", gettext_noop("{n} marked"))
GRID.add(
    "grid_look",
    gettext_noop("Nothing was recorded, and your marks are kept. Look at the images for {seconds} s more."),
)
GRID.add(
    "grid_scroll",
    gettext_noop(
        "Nothing was recorded, and your marks are kept. Scroll to the images that were not on the screen yet:"
        " {n}"
    ),
)
GRID.add("grid_recorded", gettext_noop("Recorded: {n} images, {marks} of them with a mark."))
GRID.add(
    "grid_late",
    gettext_noop("{n} images had passed to other reviewers. Your answers are kept as decisions."),
)
GRID.add("grid_refused", gettext_noop("For {n} images nothing was recorded: {reason}"))
GRID.add("grid_sending", gettext_noop("Sending the page…"))
GRID.add(
    "grid_offline",
    gettext_noop(
        "No connection. The page and its marks are kept on this device and sent when the connection returns."
        " To send them now, confirm again."
    ),
)
GRID.add(
    "grid_login",
    gettext_noop(
        "You are no longer logged in. The page and its marks are kept on this device. Log in again to send"
        " them."
    ),
)
GRID.add("grid_failed", gettext_noop("{reason} Your marks are kept."))
GRID.add(
    "grid_undo_wait",
    gettext_noop("The server could not be reached, and your answers are kept. Undo again."),
)
GRID.add(
    "grid_lost",
    gettext_noop("While you were away, images passed to other reviewers and left this page: {n}"),
)

# Why a search has no result (searching.py).
SEARCH_PROBLEMS = Messages("problems of a search")
SEARCH_PROBLEMS.add(
    "nothing_embedded",
    gettext_noop(
        "No image of this dataset has an embedding yet, so search by content is not possible. Embeddings are"
        " computed automatically after an import; then search again. Filters work now."
    ),
)
SEARCH_PROBLEMS.add(
    "blind",
    gettext_noop(
        "This image belongs to the audit sample and has not been judged yet. Similar images would reveal the"
        " prediction of the model. Search again once it has been judged."
    ),
)
SEARCH_PROBLEMS.add(
    "not_embedded",
    gettext_noop(
        "This image has no embedding: it has just been imported, or the encoder cannot read it. Choose "
        "another image, or search again later."
    ),
)
SEARCH_PROBLEMS.add(
    "no_detail",
    gettext_noop(
        "No image of this dataset has a local detail, so images cannot be compared by it. An admin switches "
        "it on in the settings. It is computed together with the embeddings."
    ),
)
SEARCH_PROBLEMS.add(
    "detail_missing",
    gettext_noop(
        "The local detail of this image is not computed yet, or cannot be computed. Choose another image, or "
        "search again later."
    ),
)
SEARCH_PROBLEMS.add(
    "detail_needs_image",
    gettext_noop("Only an image can be compared by its local detail, without a text and without examples."),
)
SEARCH_PROBLEMS.add(
    "too_slow",
    gettext_noop(
        "The search took too long and was stopped. Use more filters, or search again when the search index is"
        " ready."
    ),
)


def station_texts() -> dict[str, str]:
    """Return the texts of the station by code, in the reader's language."""
    return {code: STATION.render(code) for code in STATION}


def key_texts() -> dict[str, str]:
    """Return the texts of the page of the keys by code, in the reader's language."""
    return {code: KEYS.render(code) for code in KEYS}


def grid_texts() -> dict[str, str]:
    """Return the texts of the grid review by code, in the reader's language."""
    return {code: GRID.render(code) for code in GRID}
