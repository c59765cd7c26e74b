"""Messages about labels and prompts: the effects of archiving a label, and warnings about prompts."""

from mekiki.config.messages import Messages, gettext_noop, ngettext_noop, when

EFFECTS = Messages("effects of archiving a label")
EFFECTS.add(
    "archive",
    gettext_noop(
        "“%(label)s” has %(answers)s, %(prompts)s and is known to %(heads)s. The answers stay on record, but"
        " no head is trained on them any more. The images are reviewed again."
    ),
    when(
        "audited",
        ngettext_noop(
            "%(n)d image of the audit sample has this label: it counts as wrong until it is judged again.",
            "%(n)d images of the audit sample have this label: they count as wrong until they are judged"
            " again.",
            "audited",
        ),
        n="audited",
    ),
    when(
        "gold",
        ngettext_noop(
            "%(n)d gold image has this label and measures nobody any more.",
            "%(n)d gold images have this label and measure nobody any more.",
            "gold",
        ),
        n="gold",
    ),
    when(
        "waiting",
        ngettext_noop(
            "%(n)d image waits in the queue with this prediction and gets another one.",
            "%(n)d images wait in the queue with this prediction and get another one.",
            "waiting",
        ),
        n="waiting",
    ),
    when(
        "certificates",
        ngettext_noop(
            "%(n)d certificate stops, because it is about the present labels.",
            "%(n)d certificates stop, because they are about the present labels.",
            "certificates",
        ),
        n="certificates",
    ),
    gettext_noop("The label can be restored with its answers at any time."),
    answers=ngettext_noop("%(n)d answer", "%(n)d answers"),
    prompts=ngettext_noop("%(n)d prompt", "%(n)d prompts"),
    heads=ngettext_noop("%(n)d head", "%(n)d heads"),
)


EFFECTS.add(
    "restore",
    gettext_noop(
        "“%(label)s” is predicted again. It returns with %(answers)s, its last prompts and its key, if the "
        "key is free. A head is trained on the answers again."
    ),
    when(
        "audited",
        ngettext_noop(
            "%(n)d image of the audit sample counts with this label again.",
            "%(n)d images of the audit sample count with this label again.",
            "audited",
        ),
        n="audited",
    ),
    when(
        "certificates",
        ngettext_noop(
            "%(n)d certificate stops, because it is about the present labels.",
            "%(n)d certificates stop, because they are about the present labels.",
            "certificates",
        ),
        n="certificates",
    ),
    answers=ngettext_noop("%(n)d answer", "%(n)d answers"),
)

WARNINGS = Messages("warnings about prompts")
WARNINGS.add(
    "negation",
    gettext_noop(
        "“%(prompt)s” contains a negation. The encoder reads “no scratch” almost like “scratch”. Describe "
        "what "
        "is visible instead, for example “a smooth, even surface”."
    ),
)
WARNINGS.add(
    "same_prompt",
    gettext_noop(
        "“%(prompt)s” is a prompt of %(label)s and of %(other)s. It says nothing about the difference. "
        "Remove it "
        "from one of the labels."
    ),
)
WARNINGS.add(
    "repeated",
    gettext_noop("“%(prompt)s” is written twice. It counts once."),
)
WARNINGS.add(
    "bare_word",
    gettext_noop(
        "“%(prompt)s” is only a word. Name the thing on which it is seen too, for example “a photo of a "
        "metal "
        "surface with …”."
    ),
)
WARNINGS.add(
    "too_long",
    gettext_noop(
        "“%(prompt)s” has %(tokens)s tokens; the encoder reads the first %(most)s. Shorten it, or write two "
        "prompts."
    ),
)
WARNINGS.add(
    "nearly_same",
    gettext_noop(
        "%(label)s and %(other)s are nearly the same to this encoder. Describe how the two look different, "
        "or use one label for both."
    ),
)
WARNINGS.add(
    "attracts",
    gettext_noop(
        "“%(prompt)s” is the nearest prompt of %(share)s of all images. If %(label)s is not that frequent, "
        "it "
        "attracts images of the other labels. Make it more specific."
    ),
    share=lambda value: f"{float(value):.0%}",
)
