"""Texts for the scripts of the review station. The scripts fill in the words in braces."""

from django.utils.translation import gettext as _


def station_texts() -> dict[str, str]:
    """Return the texts by key, in the request's language."""
    return {
        "loading": _("Loading the next image…"),
        "image_failed": _("This image could not be loaded. Try again, or skip it."),
        "image_wait": _("The image is still loading. Nothing was recorded; answer when it is there."),
        "image_slow": _("The image takes long to load. Wait for it, or skip it."),
        "too_soon": _("The image has only just appeared. Nothing was recorded; look at it, then answer."),
        "type_again": _(
            "The image was not shown yet, or another image appeared. Nothing was recorded; type again."
        ),
        "flag_lost": _(
            "Another image appeared while you wrote the note. Nothing was recorded; look for the "
            "previous image in the gallery."
        ),
        "prediction": _("Predicted: {label}, {percent} %"),
        "prediction_uncalibrated": _("Predicted: {label}, {percent} %, uncalibrated"),
        "uncalibrated": _("uncalibrated"),
        "uncalibrated_why": _(
            "Not calibrated yet: the number shows which label fits best, not how often it is right."
        ),
        "calibrated_why": _("Calibrated: of images with this number, about as many are right."),
        "runner_up": _("Second: {label}"),
        "none_predicted": _("Nothing is predicted for this image yet. Choose a label."),
        "blind": _(
            "No prediction is shown for this image, so that your answer can be used to measure accuracy."
        ),
        "confirm": _("Confirm: {label}"),
        "predicted_badge": _("predicted"),
        "second_badge": _("second"),
        "critical_badge": _("critical"),
        "answered_confirm": _("Confirmed: {label}"),
        "answered_correct": _("Answered: {label}"),
        "answered_skip": _("Skipped"),
        "answered_flag": _("Flagged"),
        "undone": _("Undone. The image is shown again."),
        "undone_elsewhere": _("Undone. Another reviewer has the image now, or it needs no further decision."),
        "undo_wait": _("There is no connection. Undo when the connection returns; your answers are kept."),
        "nothing_to_undo": _("There is no answer left to undo."),
        "saved": _("All answers saved"),
        "sending": _("Sending: {n}"),
        "offline": _(
            "No connection. Your answers are kept on this device and sent when the connection returns: {n}"
        ),
        "login": _("You are no longer logged in. Log in again; your answers are kept on this device: {n}"),
        "not_kept": _("One answer was not recorded: {reason}"),
        "late": _(
            "This image had passed to another reviewer in the meantime. Your answer is kept as a decision."
        ),
        "lost": _("While you were away, the image passed to another reviewer. The next image is shown."),
        "empty_title": _("Nothing to review right now"),
        "error": _("The server could not be reached. Trying again…"),
        "per_hour": _("{n} an hour"),
        "find_here": _("Type a name. Enter confirms the prediction, Esc goes back to the image."),
        "find_none": _("No label matches."),
        "find_some": _("Enter chooses: {label}"),
        "no_such_key": _("There is no label {key}."),
        "zoom": _("Zoom {percent} %"),
        "label_none": _("no label"),
    }
