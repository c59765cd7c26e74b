"""Messages: a code with values is stored, and its sentences are rendered in the reader's language.

Each app registers its codes in its `messages.py`. The offline verifiers use this module without Django, so
Django is imported only to translate.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

Values = Mapping[str, Any]

_PLACE = re.compile(r"%\((\w+)\)")
# A sentence that ends with it is followed by the next one without a space.
_FULL_STOP = "。"


def gettext_noop(text: str) -> str:
    """Mark a text for the catalogues without an import of Django."""
    return text


@dataclass(frozen=True)
class Plural:
    """A text in singular and plural. `number` is the name of the value that selects one."""

    one: str
    many: str
    number: str = "n"


def ngettext_noop(one: str, many: str, number: str = "n") -> Plural:
    """Mark a singular and a plural for the catalogues without an import of Django."""
    return Plural(one, many, number)


Text = str | Plural
# A function of the value, or a text for a number: ngettext_noop("%(n)d head", "%(n)d heads").
Format = Callable[[Any], object] | Plural


@dataclass(frozen=True)
class When:
    """A sentence that is shown if `condition` is true for the values, or if the value of that name is true."""

    condition: Callable[[Values], object] | str
    text: Text

    def holds(self, values: Values) -> bool:
        """Return whether the sentence is shown."""
        if isinstance(self.condition, str):
            return bool(values.get(self.condition))
        return bool(self.condition(values))


@dataclass(frozen=True)
class Message:
    """The sentences of one code.

    `sources` maps a name in the text to the name of the stored value, if the two differ. `formats` maps a name
    in the text to the format of its value.
    """

    sentences: tuple[Text | When, ...]
    sources: Mapping[str, str]
    formats: Mapping[str, Format]


class Messages:
    """The codes of one kind of message. A new registry must have a new name.

    `missing` stands for a value that was not stored. Without it, a message that lacks a value is shown as code
    and values. `default` formats every value that has no format of its own. `marked` names values that are
    marked texts and are translated too.
    """

    all: ClassVar[dict[str, Messages]] = {}

    def __init__(
        self,
        name: str,
        *,
        missing: str | None = None,
        default: Callable[[Any], object] | None = None,
        marked: tuple[str, ...] = (),
    ) -> None:
        if name in Messages.all:
            raise ValueError(f"the registry {name!r} exists already")
        self.name = name
        self._missing = missing
        self._default = default
        self._marked = frozenset(marked)
        self._messages: dict[str, Message] = {}
        Messages.all[name] = self

    def add(self, code: str, *sentences: Text | When, **values: str | Format | tuple[str, Format]) -> None:
        """Register a code. Raises ValueError if it is registered already, or if a value is in no sentence.

        A keyword names a value in the sentences and gives its source (the name of the stored value), its
        format, or both as a pair.
        """
        if code in self._messages:
            raise ValueError(f"{self.name}: the code {code!r} is registered twice")
        sources, formats = {}, {}
        for name, given in values.items():
            source, shown = given if isinstance(given, tuple) else (given, given)
            if isinstance(source, str):
                sources[name] = source
            if not isinstance(shown, str):
                formats[name] = shown
        message = Message(sentences, sources, formats)
        if unknown := set(values) - _places(message):
            raise ValueError(f"{self.name}: no sentence of {code!r} has {sorted(unknown)}")
        self._messages[code] = message

    def __contains__(self, code: object) -> bool:
        return code in self._messages

    def __iter__(self) -> Iterator[str]:
        return iter(self._messages)

    def texts(self, code: str) -> list[Text]:
        """Return the texts of a code, including those of conditional sentences. KeyError: unknown code."""
        return [part.text if isinstance(part, When) else part for part in self._messages[code].sentences]

    def needs(self, code: str) -> set[str]:
        """Return the names of the stored values that the sentences of a code show. KeyError: unknown code."""
        message = self._messages[code]
        numbers = {text.number for text in self.texts(code) if isinstance(text, Plural)}
        return numbers | {message.sources.get(name, name) for name in _places(message)}

    def check(self, code: str, values: Values) -> None:
        """Raise TypeError if a value cannot be stored: it is no JSON scalar and its code has no format for it."""
        message = self._messages.get(code)
        formats = message.formats if message else {}
        formatted = {message.sources.get(name, name) for name in formats} if message else set()
        for name, value in values.items():
            if name not in formatted and not _is_scalar(value):
                kind = type(value).__name__
                raise TypeError(f"{self.name}: {name!r} of {code!r} is no JSON scalar ({kind})")

    def sentences(self, code: str, values: Values | None = None, *, english: bool = False) -> list[str]:
        """Return the sentences of a code, in the reader's language or, without Django, in English.

        An unknown code, and a message whose values do not fit, is one text with the code and the values.
        """
        values = values or {}
        message = self._messages.get(code)
        if message is None:
            return [in_plain(code, values)]
        try:
            shown = self._shown(message, values, english)
            return [
                self._filled(part.text if isinstance(part, When) else part, values, shown, english)
                for part in message.sentences
                if not isinstance(part, When) or part.holds(values)
            ]
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            return [in_plain(code, values)]

    def render(self, code: str, values: Values | None = None, *, english: bool = False) -> str:
        """Return the sentences of a code as one text (see `sentences`)."""
        return join_sentences(self.sentences(code, values, english=english))

    def _shown(self, message: Message, values: Values, english: bool) -> dict[str, object]:
        shown: dict[str, object] = {}
        for name in _places(message):
            source = message.sources.get(name, name)
            if source in values:
                shown[name] = self._formatted(message.formats.get(name), name, values[source], english)
            elif self._missing is not None:
                shown[name] = self._missing
        return shown

    def _formatted(self, form: Format | None, name: str, value: Any, english: bool) -> object:
        if isinstance(form, Plural):
            return _translated(form, value, english) % {form.number: value}
        if form is not None:
            return form(value)
        if name in self._marked and isinstance(value, str) and value:
            value = _translated(value, None, english)
        elif not _is_scalar(value):
            raise TypeError(f"{name} is no JSON scalar")
        return self._default(value) if self._default else value

    def _filled(self, text: Text, values: Values, shown: Mapping[str, object], english: bool) -> str:
        number = values[text.number] if isinstance(text, Plural) else None
        filled = _translated(text, number, english)
        return filled % shown if _PLACE.search(filled) else filled


def in_plain(code: str, values: Values) -> str:
    """Return a code and its values as they are stored: 'code (name="value")'."""
    shown = ", ".join(
        f"{name}={json.dumps(value, ensure_ascii=False, default=str)}" for name, value in values.items()
    )
    return f"{code} ({shown})" if shown else code


def printable(value: Any) -> str:
    """Return the first 300 characters of a value, without control characters.

    A file from outside must not send control characters to a terminal.
    """
    return "".join(c if c.isprintable() else "�" for c in str(value)[:300])


def join_sentences(sentences: list[str]) -> str:
    """Join sentences by a space, except after a Japanese full stop."""
    text = ""
    for sentence in sentences:
        space = " " if text and not text.endswith(_FULL_STOP) else ""
        text += space + sentence
    return text


def _places(message: Message) -> set[str]:
    """Return the names of all values in the texts of a message."""
    places: set[str] = set()
    for part in message.sentences:
        text = part.text if isinstance(part, When) else part
        for form in (text.one, text.many) if isinstance(text, Plural) else (text,):
            places.update(_PLACE.findall(form))
    return places


def _translated(text: Text, number: Any, english: bool) -> str:
    if isinstance(text, Plural):
        if isinstance(number, bool) or not isinstance(number, int):
            raise TypeError(f"{text.number} is no number")
        if english:
            return text.one if number == 1 else text.many
        from django.utils.translation import ngettext

        return ngettext(text.one, text.many, number)
    if english:
        return text
    from django.utils.translation import gettext

    return gettext(text)


def _is_scalar(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str | int | bool)
