"""Templates for new datasets: labels, prompts and guidelines in English and Japanese, one TOML file each."""

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
# The order in which pages offer them.
ORDER = ("surface", "steel", "casting", "weld", "assembly", "label", "pcb", "textile")
LANGUAGES = ("en", "ja")


@dataclass(frozen=True)
class Texts:
    """A text in English and Japanese."""

    en: str
    ja: str

    def text(self, language: str) -> str:
        """Return the text in `en` or `ja`."""
        return self.ja if language == "ja" else self.en


@dataclass(frozen=True)
class StarterLabel:
    """A label of a template. `prompts`: language → sentences."""

    name: Texts
    guideline: Texts
    prompts: dict[str, tuple[str, ...]]
    critical: bool


@dataclass(frozen=True)
class Starter:
    """A template for a new dataset."""

    key: str
    title: Texts
    description: Texts
    labels: tuple[StarterLabel, ...]


@lru_cache(maxsize=1)
def starters() -> tuple[Starter, ...]:
    """Return all templates in the order in which pages offer them. Raises ValueError for a malformed file."""
    return tuple(_read(key) for key in ORDER)


def starter(key: str) -> Starter | None:
    """Return the template with this key, or None."""
    return next((one for one in starters() if one.key == key), None)


def _read(key: str) -> Starter:
    path = FOLDER / f"{key}.toml"
    data: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    try:
        labels = tuple(
            StarterLabel(
                Texts(**label["name"]),
                Texts(**label["guideline"]),
                {language: tuple(label["prompts"][language]) for language in LANGUAGES},
                bool(label.get("critical", False)),
            )
            for label in data["labels"]
        )
        made = Starter(key, Texts(**data["title"]), Texts(**data["description"]), labels)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path.name} lacks a text, or a language ({error})") from error
    return made
