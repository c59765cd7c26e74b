"""Messages of the quality app: texts for the script of a study's station, and why it shows no image."""

from mekiki.config.messages import Messages, gettext_noop

STUDY_STATION = Messages("texts of a study's station")
STUDY_STATION.add("study_failed", gettext_noop("This image could not be loaded. Choose “Cannot judge”."))
STUDY_STATION.add(
    "study_slow", gettext_noop("The image takes long to load. Wait for it, or choose “Cannot judge”.")
)
STUDY_STATION.add("study_no_undo", gettext_noop("There is no undo in a study. Your answer stays."))

ENDINGS = Messages("why a study shows no image")
ENDINGS.add(
    "done",
    gettext_noop("You have judged all images in all runs. Thank you. Your answers are stored."),
)
ENDINGS.add(
    "pause",
    gettext_noop("This run is complete. The next run begins after the pause, at %(until)s."),
)
ENDINGS.add("finished", gettext_noop("The study has finished. Your answers are stored."))
ENDINGS.add("cancelled", gettext_noop("The study was cancelled. Your answers are stored."))


def study_texts() -> dict[str, str]:
    """Return the texts for the script in the reader's language."""
    return {code: STUDY_STATION.render(code) for code in STUDY_STATION}
