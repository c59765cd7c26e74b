"""When two user names count as one, and which names are refused (docs/decisions/0021).

`name_key` identifies an account: case and width do not matter. `look_key` is the skeleton of Unicode TR39: names
that look alike share it. Both are unique columns.
"""

import unicodedata

from confusable_homoglyphs import categories, confusables
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

# Invisible direction marks stand around right-to-left characters in the library's table.
_MARKS = dict.fromkeys(map(ord, "\u200e\u200f"))
# Scripts that one name may combine: TR39, "Highly Restrictive". Japanese with Latin is normal.
_COMBINATIONS = (
    {"LATIN", "HAN", "HIRAGANA", "KATAKANA"},
    {"LATIN", "HAN", "HANGUL"},
    {"LATIN", "HAN", "BOPOMOFO"},
)
# Letters that show nothing (the Hangul fillers). NFKC makes U+1160 of two more. Other invisible characters are no letters,
# so Django's validator refuses them.
_INVISIBLE = frozenset("\u115f\u1160")
_NO_SCRIPT = {"COMMON", "INHERITED"}


def name_key(name: str) -> str:
    """Return what equal names share: NFKC, case folded, without outer blanks ("Ｈａｎａ" and "hana")."""
    folded = unicodedata.normalize("NFKC", name.strip()).casefold()
    return unicodedata.normalize("NFKC", folded)


def look_key(name: str) -> str:
    """Return what names that look alike share, whatever the case they are written in.

    The skeleton is taken before and after folding the case: "Inet" looks like "lnet" only with its capital.
    """
    return _skeleton(_skeleton(unicodedata.normalize("NFKC", name.strip())).casefold())


def _skeleton(text: str) -> str:
    """Return the skeleton of TR39: decomposed, each character replaced by its prototype, decomposed again."""
    plain = unicodedata.normalize("NFD", text)
    return unicodedata.normalize("NFD", "".join(map(_prototype, plain)))


def _prototype(character: str) -> str:
    """Return the character (or characters) that stands for all that look like this one.

    The library's table is symmetric: a prototype lists all that look like it, every other character lists its
    prototype alone. Where two characters list only one another, the lower one is the prototype.
    """
    alike = confusables.confusables_data.get(character)
    if not alike or len(alike) > 1:
        return character
    other = alike[0]["c"].translate(_MARKS)
    back = confusables.confusables_data.get(other, ())
    return min(character, other) if len(back) == 1 else other


def scripts(name: str) -> set[str]:
    """Return the scripts a name is written in, as Unicode calls them; digits and signs have none."""
    return categories.unique_aliases(name) - _NO_SCRIPT


def refuse_invisible_letters(name: str) -> None:
    """Raise ValidationError for a name with letters that show nothing: "hana" and one more would look like "hana"."""
    if _INVISIBLE & set(unicodedata.normalize("NFKC", name)):
        raise ValidationError(
            _(
                "This name has invisible characters, so it could be taken for another name. Nothing was saved. "
                "Type the name again without them."
            ),
            code="invisible_letters",
        )


def refuse_mixed_scripts(name: str) -> None:
    """Raise ValidationError for a name that mixes scripts as no language does, such as Latin with Cyrillic."""
    found = scripts(unicodedata.normalize("NFKC", name))
    if len(found) > 1 and not any(found <= allowed for allowed in _COMBINATIONS):
        shown = ", ".join(sorted(script.replace("_", " ").title() for script in found))
        raise ValidationError(
            _(
                "This name mixes letters of different scripts (%(scripts)s), so it could be taken for another name. "
                "Nothing was saved. Write it in one script; Japanese and Latin letters may be combined."
            )
            % {"scripts": shown},
            code="mixed_scripts",
        )
