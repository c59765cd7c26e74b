"""The glossary of inspection terms: glossary.tsv with one concept per line.

The columns are a key, a group, and the wordings in English and Japanese, separated by "|", the usual wording
first. English wordings have an article where the language needs one, so that they fit into a sentence.
"""

import csv
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from django.utils.translation import gettext_lazy as _

from mekiki.labeling.text import name_key

_KATAKANA = "[\u30a0-\u30ff]"

FILE = Path(__file__).with_name("glossary.tsv")

# The sentences around a wording, for each group of concepts: English, Japanese. A wording alone is a poor
# prompt, because an encoder learned from captions that name the object too (docs/how-to/write-prompts.md).
CONTEXTS = {
    "surface": ("a photo of a metal surface with {}", "{}がある金属表面の写真"),
    "shape": ("a photo of a part with {}", "{}がある部品の写真"),
    "steel": ("a photo of a steel strip with {}", "{}がある鋼板の写真"),
    "forging": ("a photo of a forged part with {}", "{}がある鍛造品の写真"),
    "casting": ("a photo of a casting with {}", "{}がある鋳物の写真"),
    "weld": ("a photo of a weld with {}", "{}がある溶接部の写真"),
    "coating": ("a photo of a painted surface with {}", "{}がある塗装面の写真"),
    "plastic": ("a photo of a plastic part with {}", "{}がある樹脂部品の写真"),
    "glass": ("a photo of a glass surface with {}", "{}があるガラスの写真"),
    "textile": ("a photo of a woven fabric with {}", "{}がある織物の写真"),
    "pcb": ("a photo of a circuit board with {}", "{}がある基板の写真"),
    "assembly": ("a photo of an assembly with {}", "{}がある組立品の写真"),
    "print": ("a photo of a product label with {}", "{}がある製品ラベルの写真"),
    "package": ("a photo of a package: {}", "{}がある包装の写真"),
    "wood": ("a photo of a wooden board with {}", "{}がある木材の写真"),
    "good": ("a photo of {}", "{}の写真"),
}
GROUPS = {
    "surface": _("Surface"),
    "shape": _("Shape and edges"),
    "steel": _("Rolled steel"),
    "forging": _("Forging"),
    "casting": _("Casting"),
    "weld": _("Welding"),
    "coating": _("Coating and plating"),
    "plastic": _("Plastic moulding"),
    "glass": _("Glass"),
    "textile": _("Textile"),
    "pcb": _("Circuit boards"),
    "assembly": _("Assembly"),
    "print": _("Print and labels"),
    "package": _("Packaging"),
    "wood": _("Wood"),
    "good": _("Good parts"),
}


@dataclass(frozen=True)
class Concept:
    """One concept with its wordings, the usual one first."""

    key: str
    group: str
    en: tuple[str, ...]
    ja: tuple[str, ...]

    def wordings(self, language: str) -> tuple[str, ...]:
        """Return the wordings in `en` or `ja`."""
        return self.ja if language == "ja" else self.en

    def sentences(self, language: str) -> list[tuple[str, str]]:
        """Return (wording, prompt with this wording) in a language."""
        context = CONTEXTS[self.group][1 if language == "ja" else 0]
        return [(wording, context.format(wording)) for wording in self.wordings(language)]


@lru_cache(maxsize=1)
def concepts() -> tuple[Concept, ...]:
    """Return all concepts, in the order of the file. Raises ValueError for a malformed line."""
    with FILE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    known = []
    for line, row in enumerate(rows, start=2):
        en, ja = (tuple(filter(None, (row[name] or "").split("|"))) for name in ("en", "ja"))
        if not row["key"] or row["group"] not in CONTEXTS or not en or not ja:
            raise ValueError(f"{FILE.name}, line {line}: a concept needs a key, a group, and both languages")
        known.append(Concept(row["key"], row["group"], en, ja))
    return tuple(known)


@lru_cache(maxsize=1)
def _by_wording() -> dict[str, Concept]:
    """Return key of a wording → concept. The key ignores case, width and articles."""
    known: dict[str, Concept] = {}
    for concept in concepts():
        for wording in (*concept.en, *concept.ja, concept.key.replace("_", " ")):
            known.setdefault(_key(wording), concept)
    return known


def _key(text: str) -> str:
    key = name_key(text.replace("_", " ").replace("-", " "))
    for article in ("a ", "an ", "the "):
        key = key.removeprefix(article)
    return key


def find_concepts(name: str, prompts: list[str], most: int = 4) -> list[Concept]:
    """Return the concepts that a label's name or prompts mention, best first.

    A concept whose wording is the name comes first, then concepts whose wording is part of the name, then
    concepts that a prompt mentions. Longer wordings come before shorter ones.
    """
    own = _key(name)
    table = _by_wording()
    singular = own[:-2] if own.endswith("es") else own
    ranked: dict[str, tuple[int, int, Concept]] = {}
    texts = [own, *(_key(prompt) for prompt in prompts)]
    for wording, concept in table.items():
        if wording in (own, singular, own.removesuffix("s")):
            rank = 0
        else:
            place = next((i for i, text in enumerate(texts) if _mentions(text, wording)), None)
            if place is None:
                continue
            rank = 1 if place == 0 else 2
        best = ranked.get(concept.key)
        if best is None or (rank, -len(wording)) < best[:2]:
            ranked[concept.key] = (rank, -len(wording), concept)
    return [concept for _rank, _length, concept in sorted(ranked.values(), key=lambda one: one[:2])[:most]]


def names_of(name: str) -> dict[str, str]:
    """Return a label's name in `en` and `ja`, as far as it is known.

    The language that the name is not written in comes from the concept with this wording.
    """
    concept = _by_wording().get(_key(name)) or _by_wording().get(_key(name).removesuffix("s"))
    known = {"en": concept.en[0], "ja": concept.ja[0]} if concept is not None else {}
    return known | {"en" if name.isascii() else "ja": name}


def _mentions(text: str, wording: str) -> bool:
    """Return whether a text contains a wording: whole words, or at least two Japanese characters."""
    if wording.isascii():
        padded = f" {text} "
        return len(wording) > 2 and (f" {wording} " in padded or f" {wording}s " in padded)
    # A word in katakana is no part of a longer word: スケ is not mentioned by スケール.
    if re.fullmatch(f"{_KATAKANA}+", wording):
        return bool(re.search(f"(?<!{_KATAKANA}){wording}(?!{_KATAKANA})", text))
    return len(wording) >= 2 and wording in text
