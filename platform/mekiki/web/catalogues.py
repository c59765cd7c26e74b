"""Message catalogues: extraction, merging, checking and compiling without GNU gettext.

Babel's extractor reads Python files, Django's `templatize` reads templates, and polib reads catalogues. Babel
and polib are in the dev extra. Catalogues contain no dates and no line numbers, so they change only when a
message changes.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.translation.template import templatize

LANGUAGES = {"en": "nplurals=2; plural=(n != 1);", "ja": "nplurals=1; plural=0;"}
# In this language the msgstr is the msgid.
SOURCE_LANGUAGE = "en"

_ONE, _TWO = (1,), (1, 2)
_CONTEXT, _CONTEXT_TWO = ((1, "c"), 2), ((1, "c"), 2, 3)
KEYWORDS: dict[str, Any] = {
    "_": _ONE,
    **dict.fromkeys(("gettext", "gettext_lazy", "gettext_noop"), _ONE),
    **dict.fromkeys(("ngettext", "ngettext_lazy", "ngettext_noop"), _TWO),
    **dict.fromkeys(("pgettext", "pgettext_lazy"), _CONTEXT),
    **dict.fromkeys(("npgettext", "npgettext_lazy"), _CONTEXT_TWO),
}

_LITERAL = r"""u?(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")"""
_TEMPLATE_CALL = re.compile(
    rf"(?<![\w.])(_|gettext|ngettext|pgettext|npgettext)\(\s*({_LITERAL}(?:\s*,\s*{_LITERAL})*)", re.S
)
_PLACEHOLDER = re.compile(r"%\(\w+\)[#0\- +]*[\d.]*[a-z]|%[sdf]|\{\w*\}")

Key = tuple[str, str]  # (context, msgid)


@dataclass
class Message:
    """One message to translate, and the files that use it."""

    msgid: str
    plural: str = ""
    context: str = ""
    files: set[str] = field(default_factory=set)

    @property
    def key(self) -> Key:
        return (self.context, self.msgid)


def _sources() -> Iterator[tuple[Path, str]]:
    """Yield (path, name in the catalogue) of every file that may contain messages."""
    package = Path(settings.PACKAGE_DIR)
    root = package.parents[1]
    for folder, pattern in (
        (package, "**/*.py"),
        (root / "platform" / "verification", "**/*.py"),
        (root / "workers", "**/*.py"),
        (Path(settings.TEMPLATES_DIR), "**/*.html"),
        (Path(settings.TEMPLATES_DIR), "**/*.txt"),
    ):
        for path in sorted(folder.glob(pattern)):
            if "migrations" not in path.parts:
                yield path, path.relative_to(root).as_posix()


def _from_python(path: Path) -> Iterator[Message]:
    from babel.messages.extract import extract_python

    text = path.read_text(encoding="utf-8")
    if "gettext" not in text:
        return
    with path.open("rb") as file:
        for _line, name, arguments, _comments in extract_python(file, KEYWORDS, (), {"encoding": "utf-8"}):
            given = arguments if isinstance(arguments, tuple | list) else (arguments,)
            yield from _message(str(name), given)


def _from_template(path: Path) -> Iterator[Message]:
    marked = templatize(path.read_text(encoding="utf-8"), origin=path.name)
    for name, literals in _TEMPLATE_CALL.findall(marked):
        yield from _message(name, [ast.literal_eval(x) for x in re.findall(_LITERAL, literals, re.S)])


def _message(name: str, given: Iterable[Any]) -> Iterator[Message]:
    """Yield the message of a call.

    Yield nothing if an argument is not a literal: such a text is marked for translation elsewhere.
    """
    values = list(given)
    shape = KEYWORDS[name]
    context = ""
    if shape in (_CONTEXT, _CONTEXT_TWO):
        context, values = values[0], values[1:]
    wanted = 2 if shape in (_TWO, _CONTEXT_TWO) else 1
    texts = values[:wanted]
    if len(texts) == wanted and all(isinstance(t, str) and t for t in texts):
        yield Message(texts[0], texts[1] if wanted == 2 else "", context or "")


@cache
def _messages_of(path: Path, _changed: tuple[int, int]) -> tuple[tuple[str, str, str], ...]:
    """Return (msgid, plural, context) of the messages of a file.

    The modification time and size of the file are the cache key.
    """
    read = _from_python if path.suffix == ".py" else _from_template
    return tuple((message.msgid, message.plural, message.context) for message in read(path))


def extract() -> dict[Key, Message]:
    """Return every message of the project, by key."""
    messages: dict[Key, Message] = {}
    for path, name in _sources():
        state = path.stat()
        for texts in _messages_of(path, (state.st_mtime_ns, state.st_size)):
            message = Message(*texts)
            known = messages.setdefault(message.key, message)
            known.plural = known.plural or message.plural
            known.files.add(name)
    return messages


def po_path(language: str) -> Path:
    """Return the path of the catalogue of a language."""
    return Path(settings.LOCALE_PATHS[0]) / language / "LC_MESSAGES" / "django.po"


def _load(path: Path) -> dict[Key, Any]:
    import polib

    if not path.is_file():
        return {}
    return {(e.msgctxt or "", e.msgid): e for e in polib.pofile(str(path))}


def _entry(message: Message, language: str, known: Any) -> Any:
    import polib

    entry = polib.POEntry(
        msgid=message.msgid,
        msgctxt=message.context or None,
        occurrences=[(name, "") for name in sorted(message.files)],
    )
    if _PLACEHOLDER.search(message.msgid + message.plural) and "%" in message.msgid + message.plural:
        entry.flags.append("python-format")
    if message.plural:
        entry.msgid_plural = message.plural
        forms = [message.msgid, message.plural] if language == SOURCE_LANGUAGE else [_plural_text(known)]
        entry.msgstr_plural = dict(enumerate(forms))
    else:
        entry.msgstr = message.msgid if language == SOURCE_LANGUAGE else _text(known)
    return entry


def _text(entry: Any) -> str:
    if entry is None or entry.fuzzy:
        return ""
    return entry.msgstr or next(iter(entry.msgstr_plural.values()), "")


def _plural_text(entry: Any) -> str:
    if entry is None or entry.fuzzy:
        return ""
    return entry.msgstr_plural.get(0) or entry.msgstr or ""


def update(extra_catalogues: Iterable[Path] = (), *, prefer_offered: bool = False) -> dict[str, int]:
    """Write and compile the catalogues of all languages; return the untranslated messages by language.

    `offered` are further .po files. Their translations fill in missing ones and, with prefer_offered, replace
    existing ones.
    """
    import polib

    messages = extract()
    more: dict[Key, Any] = {}
    for path in extra_catalogues:
        more.update(_load(path))
    missing = {}
    for language, plural_forms in LANGUAGES.items():
        known = _load(po_path(language))
        catalogue = polib.POFile(wrapwidth=0)
        catalogue.metadata = {
            "Project-Id-Version": "mekiki",
            "Language": language,
            "MIME-Version": "1.0",
            "Content-Type": "text/plain; charset=UTF-8",
            "Content-Transfer-Encoding": "8bit",
            "Plural-Forms": plural_forms,
        }
        for key in sorted(messages, key=lambda k: (k[1], k[0])):
            has = known.get(key)
            offer = more.get(key) or more.get(("", key[1]))
            if offer is not None and _text(offer) and (prefer_offered or has is None or not _text(has)):
                has = offer
            catalogue.append(_entry(messages[key], language, has))
        path = po_path(language)
        path.parent.mkdir(parents=True, exist_ok=True)
        catalogue.save(str(path))
        catalogue.save_as_mofile(str(path.with_suffix(".mo")))
        missing[language] = len(catalogue.untranslated_entries())
    return missing


def placeholders(text: str) -> set[str]:
    """Return the placeholders of values in a message."""
    return set(_PLACEHOLDER.findall(text.replace("%%", "")))


def check() -> list[str]:
    """Return the problems of the catalogues as sentences; empty when they are complete and compiled."""
    import polib

    messages = extract()
    wrong = []
    for language in LANGUAGES:
        path = po_path(language)
        if not path.is_file():
            wrong.append(f"{language}: there is no catalogue")
            continue
        catalogue = polib.pofile(str(path))
        entries = {(e.msgctxt or "", e.msgid): e for e in catalogue}
        for key, message in messages.items():
            entry = entries.get(key)
            where = f"{language}: {message.msgid!r} ({', '.join(sorted(message.files))})"
            if entry is None:
                wrong.append(f"{where} is not in the catalogue")
            elif entry.fuzzy:
                wrong.append(f"{where} is fuzzy")
            elif not entry.translated():
                wrong.append(f"{where} is not translated")
            else:
                wrong += [f"{where}: {fault}" for fault in _misplaced(entry)]
        gone = [e.msgid for e in catalogue if (e.msgctxt or "", e.msgid) not in messages or e.obsolete]
        wrong += [f"{language}: {msgid!r} is used nowhere" for msgid in gone]
        compiled = path.with_suffix(".mo")
        if not compiled.is_file() or compiled.read_bytes() != catalogue.to_binary():
            wrong.append(f"{language}: the compiled catalogue is stale")
    return wrong


def _misplaced(entry: Any) -> Iterator[str]:
    if not entry.msgid_plural:
        if placeholders(entry.msgid) != placeholders(entry.msgstr):
            yield f"the places for values differ in {entry.msgstr!r}"
        return
    one, several = placeholders(entry.msgid), placeholders(entry.msgid_plural)
    for text in entry.msgstr_plural.values():
        # The singular may omit the number: "one image". Messages of libraries may name it differently.
        if not one <= placeholders(text) <= several and placeholders(text) not in (one, several):
            yield f"the places for values differ in {text!r}"
