"""The encoding of names in a folder or an archive, and of tables of metadata.

Nothing states the encoding, so one encoding is chosen for all names: UTF-8 only if every name fits, and
otherwise the encoding in which the names look most like words. If each name were decoded separately, some
names would be wrong without a warning.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence

# Names for display. The name of the codec is in brackets.
LABELS = {
    "utf-8": "UTF-8",
    "utf-16": "UTF-16",
    "cp932": "Shift-JIS (cp932)",
    "euc_jp": "EUC-JP",
    "cp850": "DOS Latin (cp850)",
    "cp437": "DOS (cp437)",
    "cp1252": "Windows Latin (cp1252)",
}
# Candidates. Archives use DOS encodings, disks use those of Unix and Windows. If two score the same, the
# first is taken.
OF_ARCHIVES = ("cp932", "euc_jp", "cp850", "cp437", "cp1252")
OF_FOLDERS = ("cp932", "euc_jp", "cp1252", "cp850")
OF_TABLES = ("cp932", "euc_jp", "cp1252")
_JAPANESE = {"cp932", "euc_jp"}
# A text with a lower score does not look like words.
_PLAUSIBLE = 0.25
# Added to the score of Japanese encodings, which are preferred to Latin encodings that fit as well.
_JAPANESE_FIRST = 0.15
_NO_CHARACTER = re.compile("[\x80\xa0\uf8f0-\uf8f3]")
_SAMPLE = 20_000  # characters weighed
_KANA = re.compile("[\u3005-\u3007\u300c-\u300f\u3041-\u30fe\uff01-\uff60\u3000-\u3002]")
_OUTSIDE_ASCII = re.compile("[^\x00-\x7f]")
_HALF_WIDTH = re.compile("[\uff61-\uff9f]")


def find_encoding(raw: Iterable[bytes], candidates: Sequence[str]) -> str | None:
    """Return the encoding of all these bytes. None: no candidate reads all of them as words."""
    pieces = [piece for piece in raw if not piece.isascii()]
    if not pieces or _texts(pieces, "utf-8") is not None:
        return "utf-8"
    best, best_score = None, _PLAUSIBLE
    for encoding in candidates:
        texts = _texts(pieces, encoding)
        if texts is None:
            continue
        score = _score(texts, japanese=encoding in _JAPANESE)
        if score > best_score:
            best, best_score = encoding, score
    return None if best and _has_mixed_encodings(pieces, best) else best


def _has_mixed_encodings(pieces: list[bytes], encoding: str) -> bool:
    """Return whether a name is Japanese in UTF-8 and not made of words in the encoding of the others."""
    for piece in pieces:
        text = _texts([piece], "utf-8")
        score = _score(text, japanese=True) if text else 0.0
        if score > max(0.8, _score([piece.decode(encoding)], japanese=encoding in _JAPANESE) + 0.3):
            return True
    return False


def decode(raw: bytes, encoding: str | None) -> str:
    """Return the text in this encoding.

    None as the encoding: UTF-8 or Shift-JIS if it fits, and otherwise byte by byte (lone surrogates).
    """
    for codec in (encoding,) if encoding else ("utf-8", "cp932"):
        if (texts := _texts([raw], codec)) is not None:
            return texts[0]
    return raw.decode("utf-8", "surrogateescape")


def _texts(pieces: list[bytes], encoding: str) -> list[str] | None:
    try:
        texts = [piece.decode(encoding) for piece in pieces]
    except UnicodeDecodeError:
        return None
    # Python's cp932 decodes undefined bytes to these characters.
    return None if encoding == "cp932" and any(_NO_CHARACTER.search(text) for text in texts) else texts


def _score(texts: list[str], *, japanese: bool) -> float:
    """Return how much the characters outside ASCII look like words, from 0 to a little above 1."""
    total = weighed = 0.0
    for text in texts:
        for match in _OUTSIDE_ASCII.finditer(text):
            at = match.start()
            before = text[at - 1] if at else ""
            after = text[at + 1 : at + 2]
            weight = _japanese(text[at]) if japanese else _latin(text, at)
            if japanese and _is_letter(before) and _is_letter(after):
                weight *= 0.3  # one Japanese character inside a Latin word
            total += weight
            weighed += 1
            if weighed >= _SAMPLE:
                return total / weighed + (_JAPANESE_FIRST if japanese else 0.0)
    return total / weighed + (_JAPANESE_FIRST if japanese else 0.0) if weighed else 0.0


def _is_letter(character: str) -> bool:
    return character.isascii() and character.isalpha()


def _japanese(character: str) -> float:
    if _KANA.match(character):
        return 1.0
    if _HALF_WIDTH.match(character):
        return 0.5
    try:
        lead = character.encode("cp932")
    except UnicodeEncodeError:
        return 0.0
    if len(lead) != 2 or unicodedata.category(character) != "Lo":
        return 0.0
    # Everyday kanji come first in the table. Rare kanji start at 0x989F.
    return 1.0 if lead < b"\x98\x9f" else 0.4


def _latin(text: str, at: int) -> float:
    if not unicodedata.category(text[at]).startswith("L") or ord(text[at]) > 0x17F:
        return 0.0
    around = text[max(0, at - 1) : at] + text[at + 1 : at + 2]
    if not around.isascii() or any(c in "\\|[]{}^`~@" for c in around):
        return 0.2 if any(_is_letter(c) for c in around) else 0.1
    return 0.9 if any(_is_letter(c) for c in around) else 0.3
