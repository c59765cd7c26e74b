"""Messages about labels: the effects of archiving one."""

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
    gettext_noop("The label can be restored with its answers at any time."),
    answers=ngettext_noop("%(n)d answer", "%(n)d answers"),
    prompts=ngettext_noop("%(n)d prompt", "%(n)d prompts"),
    heads=ngettext_noop("%(n)d head", "%(n)d heads"),
)
