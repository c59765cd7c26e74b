"""Sources of encoders: the configuration and the files of an encoder, by its name."""

import copy
import difflib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import EncoderError
from .hub import Hub
from .importing import import_open_clip

VARIANTS = ("onnx", "int8")
_MAX_CONFIG = 1 << 20  # bytes
# In open_clip's order of preference: tensors before pickles.
_HUB_WEIGHTS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
)
_FOLDER_WEIGHTS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "model.safetensors",
    "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.pth",
    "pytorch_model.bin",
    "pytorch_model.pth",
    "model.pth",
)
_TOKENIZER = (
    "tokenizer.json",
    "sentencepiece.bpe.model",
    "spiece.model",
    "tokenizer.model",
    "vocab.txt",
    "vocab.json",
)
_TOKENIZER_FILES = (
    *_TOKENIZER,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
    "config.json",
)


@dataclass(frozen=True)
class Source:
    """Configuration and files of an encoder.

    ``model`` and ``preprocess`` are open_clip's `model_cfg` and `preprocess_cfg`. ``checkpoint`` is the file
    of weights. ``tokenizer`` and ``text_model`` are folders with the files of a Hugging Face tokenizer and
    text tower, if needed.
    """

    model: dict[str, Any]
    preprocess: dict[str, Any]
    checkpoint: Path
    tokenizer: Path | None
    text_model: Path | None


def split_variant(name: str) -> tuple[str, str]:
    """Return (name without its variant, variant or "").

    A «+» inside a folder's name is part of the name. Raises EncoderError for an unknown variant.
    """
    base, plus, variant = name.rpartition("+")
    if plus and variant in VARIANTS:
        return base, variant
    if plus and "/" not in variant and not name.startswith("local-dir:"):
        raise EncoderError(
            f"«{name}»: there is no variant «+{variant}». There are {', '.join('+' + v for v in VARIANTS)}.",
            "unknown_variant",
            name=name,
            variant=variant,
        )
    return name, ""


def find_source(name: str, hub: Hub) -> Source:
    """Return the source of `ARCH/WEIGHTS`, `hf-hub:…` or `local-dir:PATH`.

    Raises EncoderError.
    """
    if name.startswith("local-dir:"):
        return _folder(Path(name.removeprefix("local-dir:")), name, hub)
    if name.startswith("hf-hub:"):
        return _hub(name.removeprefix("hf-hub:"), name, hub)
    return _registered(name, hub)


def _registered(name: str, hub: Hub) -> Source:
    """Return a source of open_clip's registry, which is checked before the network is used."""
    open_clip = import_open_clip()

    architecture, _slash, weights = name.rpartition("/")
    known = open_clip.list_models()
    if architecture not in known:
        asked = architecture or name
        near = difflib.get_close_matches(asked, known, n=3)
        hint = f" Did you mean {', '.join(near)}?" if near else ""
        raise EncoderError(
            f"There is no encoder «{name}». Names are «pocket» or ARCHITECTURE/WEIGHTS.{hint}",
            "unknown_name",
            name=name,
            near=", ".join(near),
        )
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if weights not in tags:
        raise EncoderError(
            f"«{architecture}» has no weights «{weights}». It has: {', '.join(tags) or 'none'}.",
            "unknown_weights",
            name=name,
            architecture=architecture,
            known=", ".join(tags),
        )
    model = copy.deepcopy(open_clip.get_model_config(architecture))
    about = open_clip.get_pretrained_cfg(architecture, weights)
    if about.get("quick_gelu"):
        # open_clip only warns if the architecture has another activation than these weights were trained
        # with.
        model["quick_gelu"] = True
    repo, _slash, file = about["hf_hub"].rpartition("/")
    names = (f"{Path(file).stem}.safetensors", file) if file else _HUB_WEIGHTS
    checkpoint = hub.first_available(repo, names)
    if checkpoint is None:
        raise _no_weights(repo)
    return _with_text_files(model, about, checkpoint, name, hub, beside=None)


def _hub(identifier: str, name: str, hub: Hub) -> Source:
    repo, _at, revision = identifier.partition("@")
    config = hub.first_available(repo, ["open_clip_config.json"], revision or None)
    if config is None:
        raise _not_a_model(repo)
    whole = _read(config)  # before gigabytes are downloaded for a configuration that is refused
    checkpoint = hub.first_available(repo, _HUB_WEIGHTS, revision or None)
    if checkpoint is None:
        raise _no_weights(repo)
    return _with_text_files(
        whole["model_cfg"], whole.get("preprocess_cfg", {}), checkpoint, name, hub, beside=None
    )


def _folder(folder: Path, name: str, hub: Hub) -> Source:
    if not folder.is_dir():
        raise EncoderError(
            f"The folder «{folder}» does not exist on the machine that runs the workers.",
            "no_folder",
            folder=str(folder),
        )
    config = folder / "open_clip_config.json"
    if not config.is_file():
        raise _not_a_model(str(folder))
    whole = _read(config)
    checkpoint = next((folder / file for file in _FOLDER_WEIGHTS if (folder / file).is_file()), None)
    if checkpoint is None:
        others = sorted(path for path in folder.glob("*.safetensors") if path.is_file())
        if not others:
            raise _no_weights(str(folder))
        checkpoint = others[0]
    return _with_text_files(
        whole["model_cfg"], whole.get("preprocess_cfg", {}), checkpoint, name, hub, beside=folder
    )


def _with_text_files(
    model: dict[str, Any], preprocess: Any, checkpoint: Path, name: str, hub: Hub, *, beside: Path | None
) -> Source:
    """Add the files of the tokenizer and the text tower.

    They lie beside the weights (as open_clip saves them) or come from the hub.
    """
    text = model["text_cfg"]
    tokenizer = text_model = None
    wanted = text.get("hf_tokenizer_name")
    if wanted:
        if beside and any((beside / file).is_file() for file in _TOKENIZER):
            tokenizer = beside
        else:
            tokenizer = hub.folder(_repo(wanted), _TOKENIZER, _TOKENIZER_FILES)
    wanted = text.get("hf_model_name")
    if wanted:
        config = beside / "config.json" if beside else None
        if config and config.is_file():
            text_model = beside
        else:
            file = hub.first_available(_repo(wanted), ["config.json"])
            if file is None:
                raise _not_a_model(str(wanted))
            text_model = file.parent
    return Source(
        model, preprocess if isinstance(preprocess, dict) else {}, checkpoint, tokenizer, text_model
    )


def _repo(value: Any) -> str:
    """Return a model name of a configuration, checked to be neither an address nor a path."""
    if (
        not isinstance(value, str)
        or not value
        or value.startswith((".", "/", "~"))
        or ":" in value
        or ".." in value
    ):
        raise invalid_config_error(f"{value!r} is not the name of a model")
    return value


def _read(path: Path) -> dict[str, Any]:
    if path.stat().st_size > _MAX_CONFIG:
        raise invalid_config_error("the file is too large")
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise invalid_config_error(f"it is not JSON ({error})") from error
    model = whole.get("model_cfg") if isinstance(whole, dict) else None
    if not isinstance(model, dict):
        raise invalid_config_error("«model_cfg» is missing")
    for part in ("vision_cfg", "text_cfg"):
        if not isinstance(model.get(part), dict):
            raise invalid_config_error(f"«{part}» is missing")
    return whole


def invalid_config_error(reason: str) -> EncoderError:
    """Return the error for a configuration that is not valid for open_clip, with the reason."""
    return EncoderError(
        f"The configuration of this model cannot be used: {reason}.", "bad_config", reason=reason
    )


def _not_a_model(place: str) -> EncoderError:
    return EncoderError(
        f"«{place}» has no open_clip_config.json: is it a model saved by open_clip?",
        "not_a_model",
        folder=place,
    )


def _no_weights(place: str) -> EncoderError:
    return EncoderError(
        f"«{place}» has a configuration and no weights (open_clip_model.safetensors).",
        "no_weights",
        folder=place,
    )
