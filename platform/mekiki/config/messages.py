"""Messages: a code with values is stored, and its sentences are rendered in the reader's language.

Each app registers its codes in its `messages.py`. Django is imported
only to translate, so the head trainer renders English without Django.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
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


Value = str | Format | tuple[str, Format]


@dataclass(frozen=True)
class Sentence:
    """One sentence of a message. `condition` says for which values it is shown, None for all.

    `values` gives for a name in the text its source (the name of the stored value), its format, or both as a
    pair. A name that is not in `values` is the name of the stored value.
    """

    text: Text
    condition: Callable[[Values], object] | str | None = None
    values: Mapping[str, Value] = field(default_factory=dict)

    @property
    def names(self) -> set[str]:
        """The names of the values in the text."""
        forms = (self.text.one, self.text.many) if isinstance(self.text, Plural) else (self.text,)
        return {name for form in forms for name in _PLACE.findall(form)}

    def source(self, name: str) -> str:
        """Return the name of the stored value for a name in the text."""
        given = self.values.get(name)
        source = given[0] if isinstance(given, tuple) else given
        return source if isinstance(source, str) else name

    def format(self, name: str) -> Format | None:
        """Return the format of a value, or None."""
        given = self.values.get(name)
        shown = given[1] if isinstance(given, tuple) else given
        return None if isinstance(shown, str) else shown

    def is_shown(self, values: Values) -> bool:
        """Return whether the sentence is shown for these values."""
        if self.condition is None:
            return True
        return bool(values.get(self.condition) if isinstance(self.condition, str) else self.condition(values))


def when(condition: Callable[[Values], object] | str, text: Text, **values: Value) -> Sentence:
    """Return a sentence that is shown if `condition` holds, or if the value of that name is true."""
    return Sentence(text, condition, values)


class Messages:
    """The codes of one kind of message. A new registry must have a new name.

    `missing` stands for a value that was not stored. Without it, a message that lacks a value is shown as
    code and values. `default` formats every value that has no format of its own. `marked` names values that
    are marked texts and are translated too.
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
        self._messages: dict[str, tuple[Sentence, ...]] = {}
        Messages.all[name] = self

    def add(self, code: str, *sentences: Text | Sentence, **values: Value) -> None:
        """Register a code and its sentences. `values` is for all its sentences (see Sentence).

        Raises ValueError if the code is registered already, or if no sentence has one of the values.
        """
        if code in self._messages:
            raise ValueError(f"{self.name}: the code {code!r} is registered twice")
        parts = [part if isinstance(part, Sentence) else Sentence(part) for part in sentences]
        parts = [replace(part, values={**values, **part.values}) for part in parts]
        if unknown := set(values).union(*(p.values for p in parts)) - set().union(*(p.names for p in parts)):
            raise ValueError(f"{self.name}: no sentence of {code!r} has {sorted(unknown)}")
        self._messages[code] = tuple(parts)

    def __contains__(self, code: object) -> bool:
        return code in self._messages

    def __iter__(self) -> Iterator[str]:
        return iter(self._messages)

    def __getitem__(self, code: str) -> tuple[Sentence, ...]:
        return self._messages[code]

    def needs(self, code: str) -> set[str]:
        """Return the names of the stored values that the sentences of a code show. KeyError: unknown code."""
        needed = {part.source(name) for part in self[code] for name in part.names}
        return needed | {part.text.number for part in self[code] if isinstance(part.text, Plural)}

    def check(self, code: str, values: Values) -> None:
        """Raise TypeError for a value that is no JSON scalar, unless the code has a format for it."""
        parts = self._messages.get(code, ())
        formatted = {part.source(name) for part in parts for name in part.names if part.format(name)}
        for name, value in values.items():
            if name not in formatted and not _is_scalar(value):
                kind = type(value).__name__
                raise TypeError(f"{self.name}: {name!r} of {code!r} is no JSON scalar ({kind})")

    def sentences(self, code: str, values: Values | None = None, *, english: bool = False) -> list[str]:
        """Return the sentences of a code, in the reader's language or, without Django, in English.

        An unknown code, and a message whose values do not fit, is one text with the code and the values.
        """
        values = values or {}
        parts = self._messages.get(code)
        if parts is None:
            return [format_untranslated(code, values)]
        try:
            return [self._filled(part, values, english) for part in parts if part.is_shown(values)]
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            return [format_untranslated(code, values)]

    def render(self, code: str, values: Values | None = None, *, english: bool = False) -> str:
        """Return the sentences of a code as one text (see `sentences`)."""
        return join_sentences(self.sentences(code, values, english=english))

    def _filled(self, part: Sentence, values: Values, english: bool) -> str:
        text = part.text
        filled = _translated(text, values[text.number] if isinstance(text, Plural) else None, english)
        shown = {name: self._shown(part, name, values, english) for name in part.names}
        return filled % shown if shown else filled

    def _shown(self, part: Sentence, name: str, values: Values, english: bool) -> object:
        source = part.source(name)
        if source not in values and self._missing is not None:
            return self._missing
        return self._formatted(part.format(name), name, values[source], english)

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


def format_untranslated(code: str, values: Values) -> str:
    """Return a code and its values as they are stored: 'code (name="value")'."""
    shown = ", ".join(
        f"{name}={json.dumps(value, ensure_ascii=False, default=str)}" for name, value in values.items()
    )
    return f"{code} ({shown})" if shown else str(code)


def join_sentences(sentences: list[str]) -> str:
    """Join sentences by a space, except after a Japanese full stop."""
    text = ""
    for sentence in sentences:
        space = " " if text and not text.endswith(_FULL_STOP) else ""
        text += space + sentence
    return text


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
