"""Names and units of stages, marked for translation.

Jobs store these texts as they are, and the pages that show them translate them.
"""

from django.utils.translation import gettext_noop

STAGES = (
    gettext_noop("storing images"),
    gettext_noop("downloading the encoder"),
    gettext_noop("loading the encoder"),
    gettext_noop("computing embeddings"),
    gettext_noop("reading the prompts"),
    gettext_noop("reading embeddings"),
    gettext_noop("training"),
    gettext_noop("predicting"),
    gettext_noop("storing predictions"),
    gettext_noop("comparing with the head in use"),
    gettext_noop("comparing the encoders"),
    gettext_noop("removing embeddings"),
    gettext_noop("estimating the pixel window"),
    gettext_noop("making pictures again"),
    gettext_noop("building the search index"),
    gettext_noop("sealing"),
    gettext_noop("checking the seals"),
    gettext_noop("evaluating"),
    gettext_noop("choosing the next images"),
    gettext_noop("writing the label set"),
    gettext_noop("waiting for other work on this dataset"),
)
UNITS = (
    gettext_noop("files"),
    gettext_noop("images"),
    gettext_noop("labels"),
    gettext_noop("MB"),
    gettext_noop("rows"),
)
