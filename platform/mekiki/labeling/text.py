"""Checks of texts that people write (label names, guidelines, prompts), and prompt templates."""

import unicodedata
from collections.abc import Mapping

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

MAX_LABELS = 200
MAX_NAME = 80
MAX_CODE = 8  # characters of a short code
MAX_PROMPT = 500
MAX_PROMPTS = 50
MAX_GUIDELINE = 20_000
MAX_SET_NAME = 80  # characters of the name of a prompt set

# Templates on the labels page. {label} becomes the label's name. The first template is the default prompt.
# The encoder reads them in their own language, so the pages show them without translation.
TEMPLATES = (
    "a photo of {label}",
    "a close-up photo of a part with {label}",
    "a metal surface with {label}",
    "an inspection image of a product: {label}",
    "{label}の写真",
    "{label}がある部品の写真",
    "表面に{label}が見られる金属",
    "外観検査の画像: {label}",
)
DEFAULT_TEMPLATE = TEMPLATES[0]


# Joiners shape letters in some scripts, and emoji. All other format characters only hide or reverse text.
_JOINERS = "\u200c\u200d"


def clean(text: str) -> str:
    """Return the text as one line without control characters, invisible characters or repeated spaces.

    Leading and trailing spaces are removed too. The database cannot store a NUL character.
    """
    kinds = ((c, unicodedata.category(c)) for c in text)
    plain = "".join(
        " " if kind in {"Cc", "Zl", "Zp"} else c
        for c, kind in kinds
        if kind not in {"Cf", "Cs"} or c in _JOINERS
    )
    return " ".join(plain.split())


def clean_block(text: str) -> str:
    """Return the text as several lines, without control characters other than line breaks and tabs."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(
        "".join(c for c in line if c == "\t" or unicodedata.category(c) != "Cc").rstrip() for line in lines
    ).strip()


def name_key(name: str) -> str:
    """Return a key that is equal for two names that look the same to people.

    It ignores case, width and compatibility forms (NFKC), outer spaces and joiners.
    """
    seen = clean(name).translate(dict.fromkeys(map(ord, _JOINERS)))
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", seen).casefold()).strip()


def checked_name(name: str) -> str:
    """Return a label's name, cleaned. Raises ValidationError if it is empty or too long."""
    name = clean(name)
    if not name_key(name):
        raise ValidationError(_("A label needs a name."), code="label_without_name")
    if len(name) > MAX_NAME:
        raise ValidationError(
            _("The label name “%(name)s…” has %(length)d characters; at most %(most)d fit.")
            % {"name": name[:30], "length": len(name), "most": MAX_NAME},
            code="name_too_long",
        )
    return name


def checked_code(code: str, label: str) -> str:
    """Return the short code of a label, or "" without one.

    Raises ValidationError if it is too long, or has other characters than letters, digits, - _ and the point.
    """
    code = unicodedata.normalize("NFKC", clean(code))
    if len(code) > MAX_CODE or not all(c.isalnum() or c in "-_." for c in code):
        raise ValidationError(
            _(
                "The short code “%(code)s” of the label “%(label)s” does not fit. A code has at most "
                "%(most)d letters, digits, points, - or _."
            )
            % {"code": code[:30], "label": label, "most": MAX_CODE},
            code="bad_code",
        )
    return code


def refuse_ambiguous_codes(labels: list[tuple[str, str]]) -> None:
    """Raise ValidationError if a short code is that of another label, or the name of another label.

    labels: (name, code) of all labels. Case and width are ignored, as in the search of the review station.
    """
    owner: dict[str, str] = {}
    names = {name_key(name): name for name, _code in labels}
    for name, code in labels:
        key = name_key(code)
        other = owner.get(key) or names.get(key, name)
        if code and other != name:
            raise ValidationError(
                _(
                    "The short code “%(code)s” of the label “%(label)s” also stands for “%(other)s”. Nothing "
                    "was saved; choose another code."
                )
                % {"code": code, "label": name, "other": other},
                code="ambiguous_code",
            )
        if code:
            owner[key] = name


def checked_guideline(text: str, label: str) -> str:
    """Return a guideline, cleaned. Raises ValidationError if it is too long."""
    text = clean_block(text)
    if len(text) > MAX_GUIDELINE:
        raise ValidationError(
            _("The guideline of the label “%(label)s” has %(length)d characters; at most %(most)d fit.")
            % {"label": label, "length": len(text), "most": MAX_GUIDELINE},
            code="guideline_too_long",
        )
    return text


def checked_guideline_texts(texts: Mapping[str, str], label: str) -> dict[str, str]:
    """Return guidelines by language, cleaned, without empty ones.

    Raises ValidationError if one is too long, or for a language in which the pages do not exist.
    """
    known = {code for code, _name in settings.LANGUAGES}
    if unknown := sorted(set(texts) - known):
        raise ValidationError(
            _("The label “%(label)s” has a guideline in “%(language)s”. The languages are %(known)s.")
            % {"label": label, "language": unknown[0], "known": ", ".join(sorted(known))},
            code="unknown_language",
        )
    cleaned = {language: checked_guideline(text, label) for language, text in sorted(texts.items())}
    return {language: text for language, text in cleaned.items() if text}


def checked_set_name(name: str) -> str:
    """Return the name of a prompt set, cleaned; "" without one. Raises ValidationError if it is too long."""
    name = clean(name)
    if len(name) > MAX_SET_NAME:
        raise ValidationError(
            _("The name of the prompt set has %(length)d characters; at most %(most)d fit.")
            % {"length": len(name), "most": MAX_SET_NAME},
            code="set_name_too_long",
        )
    return name


def refuse_duplicates(names: list[str]) -> None:
    """Raise ValidationError if two labels have the same name, as `same` compares names."""
    seen: dict[str, str] = {}
    for name in names:
        key = name_key(name)
        if key in seen:
            raise ValidationError(
                _("Two labels have one name: “%(first)s” and “%(second)s”. Give each label its own.")
                % {"first": seen[key], "second": name},
                code="duplicate_label",
            )
        seen[key] = name


def refuse_two_none_of_these(names: list[str]) -> None:
    """Raise ValidationError if more than one of the labels stands for “none of these”.

    names: the names of the labels that do.
    """
    if len(names) > 1:
        raise ValidationError(
            _(
                "At most one label can stand for “none of these”; “%(first)s” and “%(second)s” are chosen. "
                "Nothing was saved; choose one of them."
            )
            % {"first": names[0], "second": names[1]},
            code="two_none_of_these",
        )


def checked_prompts(prompts: list[str], label: str) -> list[str]:
    """Return the prompts of one label, cleaned, without empty and repeated prompts, in order.

    Raises ValidationError that names the label if no prompt is left, one is too long or there are too many.
    """
    kept = list(dict.fromkeys(text for text in map(clean, prompts) if text))
    if not kept:
        raise ValidationError(
            _("The label “%(label)s” has no prompt. Write at least one sentence, for example “%(example)s”.")
            % {"label": label, "example": DEFAULT_TEMPLATE.format(label=label)},
            code="label_without_prompt",
        )
    for text in kept:
        if len(text) > MAX_PROMPT:
            raise ValidationError(
                _(
                    "A prompt of the label “%(label)s” has %(length)d characters (it begins “%(start)s…”); "
                    "at most %(most)d fit. Shorten it; several short prompts work better than a long one."
                )
                % {"label": label, "length": len(text), "start": text[:40], "most": MAX_PROMPT},
                code="prompt_too_long",
            )
    if len(kept) > MAX_PROMPTS:
        raise ValidationError(
            ngettext(
                "The label “%(label)s” has %(count)d prompt; at most %(most)d fit.",
                "The label “%(label)s” has %(count)d prompts; at most %(most)d fit.",
                len(kept),
            )
            % {"label": label, "count": len(kept), "most": MAX_PROMPTS},
            code="too_many_prompts",
        )
    return kept
