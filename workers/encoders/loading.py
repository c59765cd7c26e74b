"""Loads an encoder by its name: `pocket`, `ARCH/WEIGHTS` of open_clip's registry, `hf-hub:…` or `local-dir:PATH`."""

import difflib
import hashlib
from pathlib import Path
from typing import Any

from .encoder import Encoder
from .errors import EncoderError
from .torchvision_shim import ensure_torchvision


def load_encoder(name: str = "pocket", *, device: str | None = None) -> Encoder:
    """Load an encoder; the first GPU is used when there is one and ``device`` does not say otherwise.

    Raises: EncoderError: no such name, weights missing or damaged, no network, too little memory.
    """
    try:
        ensure_torchvision()
        import open_clip  # noqa: F401
        import torch
    except ImportError as error:
        raise EncoderError(
            f"This machine lacks the packages that run encoders (extra «workers»): {error}",
            "packages_missing",
            reason=str(error),
        ) from error
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise EncoderError("A GPU was asked for, but torch finds none on this machine.", "no_gpu")
    try:
        return _pocket(device) if name == "pocket" else _open_clip(name, device)
    except EncoderError:
        raise
    except MemoryError as error:
        raise EncoderError(f"There is too little memory to load «{name}».", "no_memory", name=name) from error
    except Exception as error:
        # open_clip, the hub's client and torch raise dozens of types here, bare Exception among them.
        reason = _first_line(error)
        message = f"The encoder «{name}» could not be loaded: {reason}"
        raise EncoderError(message, "load_failed", name=name, reason=reason) from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__


def _geometry(config: dict[str, Any]) -> tuple[Any, tuple[float, ...], tuple[float, ...]]:
    """The model's own preprocessing, split: PIL → PIL here, scaling of a whole batch on the device later."""
    from open_clip.transform import PreprocessCfg, image_transform_v2
    from torchvision.transforms import Compose, Normalize, ToTensor

    whole = image_transform_v2(PreprocessCfg(**config), is_train=False)
    *steps, to_tensor, scaling = whole.transforms
    if not isinstance(scaling, Normalize) or not isinstance(to_tensor, ToTensor):
        raise EncoderError(
            "This version of open_clip preprocesses images in a way this version does not know.",
            "preprocessing",
        )
    return Compose(steps), tuple(scaling.mean), tuple(scaling.std)


def _pocket(device: str) -> Encoder:
    from workers.pocket import model as pocket
    from workers.pocket.tokenizer import PocketTokenizer

    if not pocket.WEIGHTS.is_file():
        raise EncoderError(
            "The weights of «pocket» are missing from this installation: install it again.", "damaged"
        )
    model: Any = pocket.load()
    tokenizer = PocketTokenizer.load()
    config = pocket.configuration()
    side = config["model_cfg"]["vision_cfg"]["image_size"]
    geometry, mean, std = _geometry({"size": (side, side), **config["preprocess_cfg"]})
    return Encoder(
        name="pocket",
        digest=hashlib.sha256(pocket.WEIGHTS.read_bytes()).hexdigest(),
        precision=_precision(device),
        dim=config["model_cfg"]["embed_dim"],
        logit_scale=float(model.logit_scale.detach().exp()),
        context_length=tokenizer.context_length,
        device=device,
        image_side=side,
        model=model.to(device),
        geometry=geometry,
        mean=mean,
        std=std,
        tokenize=lambda texts: tokenizer(texts, full=False),
        count=lambda text: len(tokenizer.ids(text)),
        embed_ids=pocket.embed_short,
    )


def _open_clip(name: str, device: str) -> Encoder:
    import open_clip
    import torch

    if name.startswith(("hf-hub:", "local-dir:")):
        identifier, weights = name, None
        _check_folder(name)
    else:
        identifier, weights = _registered(name)
    model: Any = open_clip.create_model(
        identifier, pretrained=weights, device=device, require_pretrained=True
    )
    model.eval()
    raw = open_clip.get_tokenizer(identifier)
    config = open_clip.get_model_preprocess_cfg(model)
    geometry, mean, std = _geometry(config)
    size = config["size"]
    side = max(size) if isinstance(size, tuple | list) else size
    with torch.inference_mode():
        dim = int(model.encode_text(raw(["a"]).to(device)).shape[-1])
    return Encoder(
        name=name,
        digest=_state_digest(model),
        precision=_precision(device),
        dim=dim,
        logit_scale=float(model.logit_scale.detach().exp().reshape(-1)[0]),
        context_length=int(getattr(raw, "context_length", None) or model.context_length),
        device=device,
        image_side=int(side),
        model=model,
        geometry=geometry,
        mean=mean,
        std=std,
        tokenize=raw,
        count=lambda text: _count(raw, text),
        embed_ids=lambda network, ids: network.encode_text(ids),
    )


def _precision(device: str) -> str:
    return "fp32" if device == "cpu" else "amp"


def _check_folder(name: str) -> None:
    if not name.startswith("local-dir:"):
        return
    folder = Path(name.removeprefix("local-dir:"))
    if not folder.is_dir():
        raise EncoderError(
            f"The folder «{folder}» does not exist on the machine that runs the workers.",
            "no_folder",
            folder=str(folder),
        )
    if not (folder / "open_clip_config.json").is_file():
        raise EncoderError(
            f"The folder «{folder}» has no open_clip_config.json: is it a model saved by open_clip?",
            "not_a_model",
            folder=str(folder),
        )


def _registered(name: str) -> tuple[str, str]:
    """Architecture and weights, checked against open_clip's registry before anything is downloaded."""
    import open_clip

    architecture, _, weights = name.rpartition("/")
    known = open_clip.list_models()
    if architecture not in known:
        asked = architecture or name
        near = difflib.get_close_matches(asked, known, n=3)
        hint = f" Did you mean {', '.join(near)}?" if near else ""
        raise EncoderError(
            f"There is no encoder «{name}». Names are «pocket» or ARCHITECTURE/WEIGHTS.{hint}",
            "unknown_name",
            name=name,
        )
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if weights not in tags:
        raise EncoderError(
            f"«{architecture}» has no weights «{weights}». It has: {', '.join(tags) or 'none'}.",
            "unknown_weights",
            name=name,
        )
    return architecture, weights


def _state_digest(model: Any) -> str:
    """SHA-256 over names, shapes, types and bytes of all weights: the same whichever file format held them."""
    digest = hashlib.sha256()
    for key, tensor in sorted(model.state_dict().items()):
        value = tensor.detach().cpu().contiguous()
        digest.update(f"{key} {tuple(value.shape)} {value.dtype}\n".encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()


def _count(tokenizer: Any, text: str) -> int:
    """Tokens before truncation, for each kind of tokenizer that open_clip has."""
    if hasattr(tokenizer, "encode"):  # CLIP's own BPE; start and end are added on top
        return len(tokenizer.encode(text)) + 2
    clean = getattr(tokenizer, "clean_fn", None)
    return len(tokenizer.tokenizer(clean(text) if clean else text, truncation=False)["input_ids"])
