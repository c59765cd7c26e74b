"""The language of the terminal, for texts translated without Django, including the texts of click."""

import gettext
from gettext import gettext as gettext_noop
from gettext import ngettext
from pathlib import Path

from mekiki.config import env

CATALOGUES = Path(__file__).resolve().parents[2] / "locale"


def set_gettext_language(language: str) -> None:
    """Set the language of `gettext` texts, in this process and its children."""
    env.set_terminal_language(language)
    gettext.bindtextdomain("django", str(CATALOGUES))
    gettext.textdomain("django")


# Texts of click 8.5, listed here so that they enter the catalogues. click translates them with
# `gettext.gettext` and fills in placeholders such as `{param_hint}`.
CLICK_TEXTS = (
    gettext_noop("Usage:"),
    gettext_noop("Try '{command} {option}' for help."),
    gettext_noop("Show this message and exit."),
    gettext_noop("Show the version and exit."),
    gettext_noop("Aborted!"),
    gettext_noop("Error: {message}"),
    gettext_noop("default: {default}"),
    gettext_noop("Invalid value: {message}"),
    gettext_noop("Invalid value for {param_hint}: {message}"),
    gettext_noop("Missing argument"),
    gettext_noop("Missing option"),
    gettext_noop("No such option {name!r}."),
    gettext_noop("No such command {name!r}."),
    gettext_noop("Option {name!r} does not take a value."),
    gettext_noop("{value!r} is not a valid {number_type}."),
    gettext_noop("{value} is not in the range {range}."),
    gettext_noop("{name} {filename!r} does not exist."),
    gettext_noop("{name} {filename!r} is a file."),
    gettext_noop("{name} {filename!r} is a directory."),
    gettext_noop("{name} {filename!r} is not readable."),
    gettext_noop("file"),
    gettext_noop("directory"),
    gettext_noop("path"),
    ngettext("Did you mean {possibility}?", "(Did you mean one of: {possibilities}?)", 1),
    ngettext("Got unexpected extra argument ({args})", "Got unexpected extra arguments ({args})", 1),
    ngettext("Option {name!r} requires an argument.", "Option {name!r} requires {nargs} arguments.", 1),
    ngettext("{value!r} is not {choice}.", "{value!r} is not one of {choices}.", 1),
)
