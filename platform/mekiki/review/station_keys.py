"""Commands of the review station that a reviewer can put on other keys, and the one-hand layouts.

A key is named by its place on the keyboard (`KeyboardEvent.code`), so that a layout works with every language
of the keyboard. The standard keys are characters; they are in js/review/keys.js.
"""

import re
from typing import Any, TypedDict

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

LABEL_COMMANDS = tuple(f"label-{n}" for n in range(1, 10))
COMMAND_NAMES = {
    "confirm": gettext_lazy("Confirm the prediction"),
    **{f"label-{n}": gettext_lazy("Label %(n)d") for n in range(1, 10)},
    "skip": gettext_lazy("Skip"),
    "flag": gettext_lazy("Flag"),
    "undo": gettext_lazy("Undo"),
    "history": gettext_lazy("Your last answers"),
    "guide": gettext_lazy("Guidelines"),
    "why": gettext_lazy("Why"),
    "heat": gettext_lazy("Heat map"),
    "find": gettext_lazy("Find a label"),
    "adjust": gettext_lazy("View: brightness and contrast"),
    "adjust-reset": gettext_lazy("Reset the view"),
    "zoom-in": gettext_lazy("Zoom in"),
    "zoom-out": gettext_lazy("Zoom out"),
    "zoom-fit": gettext_lazy("Fit the image"),
    "zoom-actual": gettext_lazy("1:1"),
    "help": gettext_lazy("Help"),
    "close": gettext_lazy("Close a dialog"),
}
# The characters of the standard layout, as the page of the keys shows them.
STANDARD = {
    **{f"label-{n}": str(n) for n in range(1, 10)},
    "confirm": "Enter", "skip": "S", "flag": "F", "undo": "Z", "history": "H", "guide": "G", "why": "W",
    "heat": "M", "find": "/",
    "adjust": "A", "adjust-reset": "R", "zoom-in": "+", "zoom-out": "−", "zoom-fit": "0", "zoom-actual": "*",
    "help": "?", "close": "Esc",
}  # fmt: skip
# Keys with a fixed meaning, in the station or in browsers, and keys that only change others.
FIXED = frozenset(
    {
        *(
            "Enter",
            "NumpadEnter",
            "Escape",
            "Space",
            "Tab",
            "CapsLock",
            "ContextMenu",
            "Fn",
            "F1",
            "F2",
            "F4",
            "F8",
            "F9",
        ),
        *("F5", "F11", "F12", "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "NumLock", "PrintScreen"),
        *(
            f"{name}{side}"
            for name in ("Shift", "Control", "Alt", "Meta", "OS")
            for side in ("Left", "Right")
        ),
        # Keys of Japanese and Korean input methods.
        *("Convert", "NonConvert", "KanaMode", "Lang1", "Lang2", "Lang3", "Lang4", "Lang5", "Backquote"),
    }
)
_CODE = re.compile(r"[A-Z][A-Za-z0-9]{0,23}")


class Key(TypedDict):
    """A key of the keyboard: its place, and what is written on it."""

    code: str
    text: str


def _keys(**codes: str) -> dict[str, Key]:
    return {
        command.replace("_", "-"): {"code": code, "text": _text_of(code)} for command, code in codes.items()
    }


def _text_of(code: str) -> str:
    """Return what is written on a key of the Latin layouts, until the page knows the keyboard."""
    signs = {
        "Comma": ",",
        "Period": ".",
        "Semicolon": ";",
        "Slash": "/",
        "Minus": "-",
        "Quote": "'",
        "BracketLeft": "[",
        "BracketRight": "]",
        "Equal": "=",
        "Backspace": "⌫",
    }
    return signs.get(code, code.removeprefix("Key").removeprefix("Digit"))


# All commands in reach of one hand. The labels 1 to 9 lie as three rows of three keys.
LAYOUTS: dict[str, dict[str, Key]] = {
    "standard": {},
    "left": _keys(
        label_1="KeyQ", label_2="KeyW", label_3="KeyE", label_4="KeyA", label_5="KeyS", label_6="KeyD",
        label_7="KeyZ", label_8="KeyX", label_9="KeyC", confirm="KeyF", skip="KeyR", flag="KeyT", undo="KeyG",
        find="KeyV", guide="KeyB", history="Digit6", zoom_out="Digit1", zoom_in="Digit2", zoom_fit="Digit3",
        zoom_actual="Digit4", adjust="Digit5", adjust_reset="F3", why="F6",
    ),
    "right": _keys(
        label_1="KeyU", label_2="KeyI", label_3="KeyO", label_4="KeyJ", label_5="KeyK", label_6="KeyL",
        label_7="KeyM", label_8="Comma", label_9="Period", confirm="KeyH", skip="KeyY", flag="KeyP",
        undo="KeyN", find="Slash", guide="Semicolon", history="Minus", zoom_out="Digit7", zoom_in="Digit8",
        zoom_fit="Digit9", zoom_actual="Digit0", adjust="Digit6", adjust_reset="BracketLeft",
        help="Quote", close="Backspace", why="Equal", heat="BracketRight",
    ),
}  # fmt: skip


def command_name(command: str) -> str:
    """Return the name of a command in the reader's language."""
    name = str(COMMAND_NAMES[command])
    return name % {"n": int(command[-1])} if command in LABEL_COMMANDS else name


def keys_of(layout: str, own: dict[str, Key]) -> dict[str, Key]:
    """Return the keys of a layout with a reviewer's own keys in their places."""
    return LAYOUTS[layout] | own


def check_keys(layout: str, own: Any) -> dict[str, Key]:
    """Return a reviewer's own keys as they are stored: {command: {code, text}}.

    Raises ValidationError if a command or key is unknown, a key has a fixed meaning, or two commands have the
    same key.
    """
    if not isinstance(own, dict):
        raise ValidationError(_("The keys could not be read. Nothing was saved."), code="bad_keys")
    kept: dict[str, Key] = {}
    for command, key in own.items():
        code, text = (key.get("code"), key.get("text")) if isinstance(key, dict) else (None, None)
        if command not in COMMAND_NAMES or not isinstance(code, str) or not _CODE.fullmatch(code):
            raise ValidationError(_("The keys could not be read. Nothing was saved."), code="bad_keys")
        if not isinstance(text, str) or not 0 < len(text) <= 12 or not text.isprintable():
            text = _text_of(code)
        if code in FIXED:
            raise ValidationError(
                _("The key %(key)s has a fixed meaning. Nothing was saved; choose another key.")
                % {"key": text},
                code="fixed_key",
            )
        kept[command] = {"code": code, "text": text}
    commands: dict[str, str] = {}
    for command, named in keys_of(layout, kept).items():
        other = commands.setdefault(named["code"], command)
        if other != command:
            raise ValidationError(
                _(
                    "The key %(key)s is given to “%(one)s” and to “%(two)s”. Nothing was saved; choose "
                    "another key."
                )
                % {"key": named["text"], "one": command_name(other), "two": command_name(command)},
                code="key_taken",
            )
    return kept
