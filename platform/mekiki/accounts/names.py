"""Comparison of user names, and the names that are refused (docs/decisions/0021).

`name_key` identifies an account without regard to case and width. `look_key` is the skeleton of Unicode TR39:
names that look alike have the same one. Both are unique columns.
"""

import unicodedata

from confusable_homoglyphs import categories, confusables
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

# The table of the library has invisible direction marks around right-to-left characters.
_MARKS = dict.fromkeys(map(ord, "\u200e\u200f"))
# Scripts that one name may combine (TR39, "Highly Restrictive"). Japanese with Latin is normal.
_COMBINATIONS = (
    {"LATIN", "HAN", "HIRAGANA", "KATAKANA"},
    {"LATIN", "HAN", "HANGUL"},
    {"LATIN", "HAN", "BOPOMOFO"},
)
# Invisible letters (the Hangul fillers). NFKC maps two more fillers to U+1160. Other invisible characters are
# not letters, so Django's validator refuses them.
_INVISIBLE = frozenset("\u115f\u1160")
_NO_SCRIPT = {"COMMON", "INHERITED"}


def name_key(name: str) -> str:
    """Return the key that equal names share: NFKC, case folded, without outer blanks.

    For example, "Ｈａｎａ" and "hana" have the same key.
    """
    folded = unicodedata.normalize("NFKC", name.strip()).casefold()
    return unicodedata.normalize("NFKC", folded)


def look_key(name: str) -> str:
    """Return the key that names that look alike share, in any case.

    The skeleton is taken before and after case folding, because "Inet" looks like "lnet" only with a capital
    I.
    """
    return _skeleton(_skeleton(unicodedata.normalize("NFKC", name.strip())).casefold())


def _skeleton(text: str) -> str:
    """Return the skeleton of TR39: decompose, replace each character by its prototype, decompose again."""
    plain = unicodedata.normalize("NFD", text)
    return unicodedata.normalize("NFD", "".join(map(_prototype, plain)))


def _prototype(character: str) -> str:
    """Return the prototype: the character (or characters) for all characters that look like this one.

    The table of the library is symmetric. A prototype lists all characters that look like it; every other
    character lists only its prototype. If two characters list only each other, the lower one is the
    prototype.
    """
    alike = confusables.confusables_data.get(character)
    if not alike or len(alike) > 1:
        return character
    other = alike[0]["c"].translate(_MARKS)
    back = confusables.confusables_data.get(other, ())
    return min(character, other) if len(back) == 1 else other


def scripts(name: str) -> set[str]:
    """Return the Unicode names of the scripts in a name. Digits and signs have no script."""
    return categories.unique_aliases(name) - _NO_SCRIPT


def refuse_invisible_letters(name: str) -> None:
    """Raise ValidationError if the name contains invisible letters.

    With such a letter, a second name could look like "hana".
    """
    if _INVISIBLE & set(unicodedata.normalize("NFKC", name)):
        raise ValidationError(
            _(
                "This name has invisible characters, so it could be taken for another name. Nothing was "
                "saved. Type the name again without them."
            ),
            code="invisible_letters",
        )


def refuse_mixed_scripts(name: str) -> None:
    """Raise ValidationError if the name mixes scripts as no language does, such as Latin with Cyrillic."""
    name_scripts = scripts(unicodedata.normalize("NFKC", name))
    if len(name_scripts) > 1 and not any(name_scripts <= allowed for allowed in _COMBINATIONS):
        shown = ", ".join(sorted(script.replace("_", " ").title() for script in name_scripts))
        raise ValidationError(
            _(
                "This name mixes letters of different scripts (%(scripts)s), so it could be taken for "
                "another name. Nothing was saved. Write it in one script; Japanese and Latin letters may be "
                "combined."
            )
            % {"scripts": shown},
            code="mixed_scripts",
        )
