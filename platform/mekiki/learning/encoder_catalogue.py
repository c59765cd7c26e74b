"""The recommended encoders, and the syntax of encoder names. This module does not import torch.

Sizes are those of fp32 weights, computed from open_clip's configurations (parameters × 4 bytes, rounded). A
downloaded file can differ a little, so pages say "about". Licences are copied from the model cards.
"""

import re
import unicodedata
from dataclasses import dataclass
from pathlib import PurePosixPath

from django.core.exceptions import ValidationError
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

CPU, GPU = "cpu", "gpu"
# Image towers that ONNX Runtime runs on the CPU. They are separate encoders: their vectors differ from
# fp32's.
VARIANTS = ("onnx", "int8")
MAX_NAME = 200  # the length of the database column


@dataclass(frozen=True)
class Recommendation:
    """One encoder of the recommended list. `download_mb` is 0 if it comes with the installation."""

    name: str
    download_mb: int
    dim: int
    licence: str | Promise
    licence_free: bool  # commercial use is allowed without permission
    devices: tuple[str, ...]  # devices on which it is fast enough for daily work
    languages: tuple[str, ...]  # prompt languages that work well (ISO 639-1), best first
    when: str | Promise  # one sentence on when to choose it
    variants: tuple[str, ...] = VARIANTS

    @property
    def variant_names(self) -> tuple[str, ...]:
        """Return the full encoder names of the variants."""
        return tuple(f"{self.name}+{variant}" for variant in self.variants)


CATALOGUE: tuple[Recommendation, ...] = (
    Recommendation(
        name="pocket",
        download_mb=0,
        dim=512,
        licence=gettext_lazy("the licence of Mekiki itself"),
        licence_free=True,
        devices=(CPU, GPU),
        languages=("en", "ja"),
        when=gettext_lazy(
            "Choose it to start today: it is already installed, needs no internet and is quick on "
            "any machine. It is trained for parts, surfaces and their defects, and little else."
        ),
    ),
    Recommendation(
        name="ViT-B-32-256/datacomp_s34b_b86k",
        download_mb=605,
        dim=512,
        licence="MIT",
        licence_free=True,
        devices=(CPU, GPU),
        languages=("en",),
        when=gettext_lazy(
            "Choose it for prompts in English on a machine without a GPU: the best balance of accuracy and "
            "speed there."
        ),
    ),
    Recommendation(
        name="ViT-B-16-SigLIP2/webli",
        download_mb=1501,
        dim=768,
        licence="Apache-2.0",
        licence_free=True,
        devices=(GPU,),
        languages=("en", "ja"),
        when=gettext_lazy(
            "Choose it on a machine with a GPU, for prompts in English or a few words of other "
            "languages. It is the most accurate encoder of this list. Without a GPU it takes about "
            "four times as long as the others."
        ),
    ),
    Recommendation(
        name="xlm-roberta-base-ViT-B-32/laion5b_s13b_b90k",
        download_mb=1465,
        dim=512,
        licence="MIT",
        licence_free=True,
        devices=(CPU, GPU),
        languages=("ja", "en"),
        when=gettext_lazy(
            "Choose it when prompts are written in Japanese: it reads Japanese far better than the others of "
            "its size."
        ),
    ),
    Recommendation(
        name="MobileCLIP2-S2/dfndr2b",
        download_mb=397,
        dim=512,
        licence="Apple ML Research (apple-amlr)",
        licence_free=False,
        devices=(CPU, GPU),
        languages=("en",),
        when=gettext_lazy(
            "Choose it for research only, with prompts in English: small and accurate, but its licence does "
            "not allow commercial use."
        ),
    ),
)


def prompt_languages(name: str) -> tuple[str, ...]:
    """Return the prompt languages of an encoder, best first; English for an encoder outside the catalogue."""
    known = next((item for item in CATALOGUE if name in (item.name, *item.variant_names)), None)
    return known.languages if known is not None else ("en",)


def recommended(device: str = CPU, language: str = "en") -> list[Recommendation]:
    """Return the catalogue, best first, for a device (`cpu`; `cuda…` or `gpu`) and a prompt language.

    Encoders without a free licence always come last. Then fit for the device and the language decides. For a
    language that no encoder lists, encoders for several languages come before encoders for English only.
    """
    place = CPU if device.strip().lower() in {"", CPU} else GPU
    spoken = language.strip().lower().replace("_", "-").split("-")[0] or "en"

    def rank(item: Recommendation) -> tuple[int, ...]:
        reads = item.languages.index(spoken) if spoken in item.languages else 9 - len(item.languages)
        preferred = _FIRST_CHOICE.get((place, spoken), _FIRST_CHOICE[place, "en"])
        return (
            not item.licence_free,
            item.name != preferred,
            item.name == "pocket",  # good for a start, but less accurate
            place not in item.devices,
            reads,
        )

    return sorted(CATALOGUE, key=rank)  # sorted() is stable: ties keep the order of the catalogue


_FIRST_CHOICE = {
    (CPU, "en"): "ViT-B-32-256/datacomp_s34b_b86k",
    (GPU, "en"): "ViT-B-16-SigLIP2/webli",
    (CPU, "ja"): "xlm-roberta-base-ViT-B-32/laion5b_s13b_b90k",
    (GPU, "ja"): "xlm-roberta-base-ViT-B-32/laion5b_s13b_b90k",
}


@dataclass(frozen=True)
class EncoderName:
    """A parsed encoder name. `kind`: pocket, registry, hub or folder. `variant`: "", onnx or int8."""

    name: str
    kind: str
    base: str  # the name without its variant
    variant: str

    def __str__(self) -> str:
        return self.name


_REGISTRY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
_HUB = re.compile(
    r"hf-hub:[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*(@[A-Za-z0-9][A-Za-z0-9._-]*)?"
)


def parse_encoder_name(text: str) -> EncoderName:
    """Parse an encoder name and check its syntax.

    Whether the encoder exists is checked later by the worker that loads it. Raises ValidationError with a
    sentence for the person who typed the name.
    """
    name = str(text).strip()
    if not name:
        raise ValidationError(_("Type the name of an encoder, for example “pocket”."), code="empty")
    if len(name) > MAX_NAME:
        raise ValidationError(
            _("The name of an encoder has at most %(limit)d characters."),
            code="too_long",
            params={"limit": MAX_NAME},
        )
    if any(unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for character in name):
        raise ValidationError(
            _("The name contains characters that cannot be seen. Type it by hand."), code="invisible"
        )
    base, plus, variant = name.rpartition("+")
    if not plus or "/" in variant:  # a “+” inside a folder path starts no variant
        base, variant = name, ""
    if plus and base != name and variant not in VARIANTS:
        if not name.startswith("local-dir:"):
            raise ValidationError(
                _("There is no variant “+%(variant)s”. There are +onnx and +int8."),
                code="unknown_variant",
                params={"variant": variant},
            )
        base, variant = name, ""
    return EncoderName(name=name, kind=_kind(base), base=base, variant=variant)


def _kind(base: str) -> str:
    if base == "pocket":
        return "pocket"
    if base.startswith("local-dir:"):
        folder = PurePosixPath(base.removeprefix("local-dir:"))
        if not folder.is_absolute() or ".." in folder.parts:
            raise ValidationError(
                _("Write the whole path of the folder after “local-dir:”, from “/” on and without “..”."),
                code="folder_path",
            )
        return "folder"
    if base.startswith("hf-hub:"):
        if not _HUB.fullmatch(base) or ".." in base:
            raise ValidationError(
                _(
                    "Write a model of the hub as “hf-hub:OWNER/MODEL”, for example "
                    "“hf-hub:timm/ViT-B-16-SigLIP2”."
                ),
                code="hub_name",
            )
        return "hub"
    if not _REGISTRY.fullmatch(base):
        raise ValidationError(
            _(
                "This is not the name of an encoder. Write “pocket”, “ARCHITECTURE/WEIGHTS” as open_clip "
                "lists them, “hf-hub:OWNER/MODEL” or “local-dir:/path/to/folder”."
            ),
            code="malformed",
        )
    return "registry"
