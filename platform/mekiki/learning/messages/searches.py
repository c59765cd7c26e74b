"""Why a search by text has no result (search/texts.py)."""

from mekiki.config.messages import Messages, gettext_noop

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
