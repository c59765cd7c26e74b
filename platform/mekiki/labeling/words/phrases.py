"""Phrases that are inserted into a prompt by one click: viewpoint, material, kind and contrast."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True)
class PhraseGroup:
    """Templates of one kind. {label} becomes the label's name. `why` says when they help.

    The encoder reads templates in their own language, so pages show them without translation.
    """

    key: str
    title: str | Promise
    why: str | Promise
    en: tuple[str, ...]
    ja: tuple[str, ...]


PHRASES = (
    PhraseGroup(
        "viewpoint",
        _("Viewpoint"),
        _("How the camera sees it."),
        (
            "a close-up photo of {label}",
            "a photo of {label} seen from above",
            "a grey-scale inspection image of {label}",
            "a macro photo of a surface with {label}",
        ),
        (
            "{label}の拡大写真",
            "上から見た{label}の写真",
            "{label}の白黒の検査画像",
            "{label}がある表面の接写",
        ),
    ),
    PhraseGroup(
        "material",
        _("Material"),
        _("What the thing is made of. This context helps most."),
        (
            "a photo of a metal surface with {label}",
            "a photo of a steel strip with {label}",
            "a photo of a plastic part with {label}",
            "a photo of a woven fabric with {label}",
            "a photo of a circuit board with {label}",
        ),
        (
            "{label}がある金属表面の写真",
            "{label}がある鋼板の写真",
            "{label}がある樹脂部品の写真",
            "{label}がある織物の写真",
            "{label}がある基板の写真",
        ),
    ),
    PhraseGroup(
        "kind",
        _("A type of …"),
        _("For a word that has other meanings too."),
        (
            "{label}, a type of surface defect",
            "{label}, a type of assembly fault",
            "{label}, a type of print defect",
        ),
        (
            "{label}という表面欠陥",
            "{label}という組立不良",
            "{label}という印刷不良",
        ),
    ),
    PhraseGroup(
        "contrast",
        _("Contrast"),
        _("How it differs from the background, in positive words."),
        (
            "dark {label} on a bright surface",
            "bright {label} on a dark surface",
            "a smooth, even surface",
            "a rough, uneven surface",
        ),
        (
            "明るい表面の黒っぽい{label}",
            "暗い表面の白っぽい{label}",
            "滑らかで均一な表面",
            "粗く不均一な表面",
        ),
    ),
)


def fill_phrases(names: Mapping[str, str], language: str) -> list[tuple[PhraseGroup, list[str]]]:
    """Return the phrases of each group for a label, those of the language first.

    names: the label's name in `en` and `ja`. In a language without a name, only phrases without it are used.
    """
    languages = ("ja", "en") if language == "ja" else ("en", "ja")
    return [
        (
            group,
            [
                template.replace("{label}", names.get(one, ""))
                for one in languages
                for template in (group.ja if one == "ja" else group.en)
                if names.get(one) or "{label}" not in template
            ],
        )
        for group in PHRASES
    ]
