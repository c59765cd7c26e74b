"""Messages of jobs: stages and units of their progress, and why one waits."""

from mekiki.config import disk
from mekiki.config.messages import Messages, gettext_noop

# Workers store stages and units as English texts. A text is its own code.
STAGES = Messages("stages of jobs")
for _stage in (
    gettext_noop("storing images"),
    gettext_noop("deleting the images of the import"),
    gettext_noop("scanning the folder"),
    gettext_noop("downloading the encoder"),
    gettext_noop("loading the encoder"),
    gettext_noop("computing embeddings"),
    gettext_noop("computing local detail"),
    gettext_noop("reading embeddings"),
    gettext_noop("drawing the audit order"),
    gettext_noop("storing the pool"),
    gettext_noop("testing the answers"),
    gettext_noop("simulating audits"),
    gettext_noop("setting labels"),
    gettext_noop("reading the prompts"),
    gettext_noop("predicting"),
    gettext_noop("storing predictions"),
    gettext_noop("training"),
    gettext_noop("comparing with the head in use"),
    gettext_noop("comparing the encoders"),
    gettext_noop("removing embeddings"),
    gettext_noop("estimating the pixel window"),
    gettext_noop("making pictures again"),
    gettext_noop("evaluating"),
    gettext_noop("choosing the next images"),
    gettext_noop("writing the label set"),
    gettext_noop("waiting for other work on this dataset"),
    gettext_noop("building the search index"),
    gettext_noop("sealing"),
    gettext_noop("checking the seals"),
    gettext_noop("comparing the answers of the study"),
    gettext_noop("writing the report"),
    gettext_noop("deleting files"),
    gettext_noop("acting on images"),
    gettext_noop("comparing images"),
    gettext_noop("reading metadata"),
    gettext_noop("storing groups"),
):
    STAGES.add(_stage, _stage)

UNITS = Messages("units of jobs")
for _unit in (
    gettext_noop("images"),
    gettext_noop("files"),
    gettext_noop("labels"),
    gettext_noop("MB"),
    gettext_noop("rows"),
    gettext_noop("simulations"),
):
    UNITS.add(_unit, _unit)

# Why a job waits: it is paused, or the disk is nearly full (config/disk.py).
SHORTAGES = Messages("reasons why jobs wait")
SHORTAGES.add("paused", gettext_noop("Paused. What is stored stays. Resume it to go on after it."))
SHORTAGES.add(
    disk.FULL,
    gettext_noop(
        "Waits: the disk is nearly full. Stored data is kept. It resumes automatically when there is free"
        " space again."
    ),
)
SHORTAGES.add(
    disk.READ_ONLY,
    gettext_noop(
        "Waits: the folder of the files cannot be written. Stored data is kept. It resumes automatically when"
        " the folder can be written again."
    ),
)
