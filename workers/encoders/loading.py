"""Loading of encoders by name: `pocket`, `ARCH/WEIGHTS` (open_clip), `hf-hub:…` or `local-dir:PATH`.

`NAME+onnx` and `NAME+int8` run the image tower of NAME by ONNX Runtime on the CPU. They are separate
encoders.
"""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import building, identity, sources, tokens
from .encoder import Encoder
from .errors import EncoderError
from .hub import Hub, Progress
from .importing import import_open_clip


def load_encoder(
    name: str = "pocket",
    *,
    device: str | None = None,
    progress: Progress | None = None,
    cache_dir: Path | None = None,
    endpoint: str | None = None,
) -> Encoder:
    """Load an encoder, on the first GPU if there is one and ``device`` is not given.

    ``progress(done, total)`` is called in bytes during a download. If it raises, the download stops; the next
    attempt continues from there. ``cache_dir`` stores downloads (else the hub's common cache on this machine)
    and the ONNX forms (else a temporary folder). ``endpoint`` is the address of a mirror of the hub.

    Raises EncoderError with a code of ENCODER_CODES, and what ``progress`` raises. No half-written file
    stays.
    """
    try:
        import_open_clip()
        import torch
    except ImportError as error:
        raise EncoderError(
            f"This machine lacks the packages that run encoders (extra «workers»): {error}",
            "packages_missing",
            reason=str(error),
        ) from error
    base, variant = sources.split_variant(name)
    device = "cpu" if variant else device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise EncoderError("A GPU was asked for, but torch finds none on this machine.", "no_gpu")
    stopped: list[BaseException] = []

    def report_bytes(done: int, total: int) -> None:
        try:
            if progress:
                progress(done, total)
        except BaseException as error:
            stopped.append(error)
            raise

    try:
        if base == "pocket":
            encoder = _pocket(device)
        else:
            hub = Hub(
                cache_dir / "hub" if cache_dir else None, name=name, progress=report_bytes, endpoint=endpoint
            )
            encoder = _open_clip(base, device, hub)
        return _variant(encoder, name, variant, cache_dir) if variant else encoder
    except EncoderError:
        raise
    except MemoryError as error:
        raise _no_memory(name) from error
    except Exception as error:
        if error in stopped:
            raise
        if isinstance(error, torch.OutOfMemoryError):
            raise _no_memory(name) from error
        # open_clip, timm, transformers and torch raise dozens of types here, bare Exception included.
        reason = _first_line(error)
        message = f"The encoder «{name}» could not be loaded: {reason}"
        raise EncoderError(message, "load_failed", name=name, reason=reason) from error


def _no_memory(name: str) -> EncoderError:
    return EncoderError(
        f"There is too little memory to load «{name}».", "no_memory", name=name, needed="", free=""
    )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__


def _variant(encoder: Encoder, name: str, variant: str, cache_dir: Path | None) -> Encoder:
    from . import onnx_tower

    tower = onnx_tower.tower_for(encoder, variant, cache_dir)
    return dataclasses.replace(
        encoder,
        name=name,
        digest=onnx_tower.identity(encoder.digest, variant),
        precision=variant,
        tower=tower,
    )


def _geometry(config: dict[str, Any]) -> tuple[Any, tuple[float, ...], tuple[float, ...]]:
    """Return the model's preprocessing in two parts: PIL → PIL, and the mean and deviation for scaling.

    Scaling is applied later, to a whole batch on the device.
    """
    from open_clip.transform import PreprocessCfg, image_transform_v2
    from torchvision.transforms import Compose, Normalize, ToTensor

    try:
        whole = image_transform_v2(PreprocessCfg(**config), is_train=False)
    except (TypeError, ValueError, AssertionError, KeyError) as error:
        raise sources.invalid_config_error(f"«preprocess_cfg» is not one ({error})") from error
    *steps, to_tensor, scaling = whole.transforms
    if not isinstance(scaling, Normalize) or not isinstance(to_tensor, ToTensor):
        raise EncoderError(
            "This version of open_clip preprocesses images in a way this version does not know.",
            "preprocessing",
        )
    return Compose(steps), tuple(scaling.mean), tuple(scaling.std)


def _side(size: Any) -> int:
    return int(max(size) if isinstance(size, tuple | list) else size)


def _pocket(device: str) -> Encoder:
    from safetensors import SafetensorError

    from workers.pocket import model as pocket
    from workers.pocket.tokenizer import PocketTokenizer

    try:
        config = pocket.configuration()
        model: Any = pocket.load(pocket.WEIGHTS)
        tokenizer = PocketTokenizer.load()
    except (OSError, SafetensorError, ValueError, RuntimeError, EOFError) as error:
        raise building.damaged_error(pocket.WEIGHTS) from error
    size = config["model_cfg"]["vision_cfg"]["image_size"]
    side = _side(size)
    preprocess = {"size": (side, side), **config["preprocess_cfg"]}
    return _ready(
        "pocket",
        device,
        model=model.to(device),
        config=config["model_cfg"],
        preprocess=preprocess,
        tokenize=lambda texts: tokenizer(texts, full=False),
        count=lambda text: len(tokenizer.ids(text)),
        context_length=tokenizer.context_length,
        embed_ids=pocket.embed_trimmed_texts,
    )


def _open_clip(name: str, device: str, hub: Hub) -> Encoder:
    source = sources.find_source(name, hub)
    model, preprocess = building.build(source, name=name, device=device)
    raw = tokens.tokenizer(source.model["text_cfg"], source.tokenizer, name=name)
    return _ready(
        name,
        device,
        model=model,
        config=source.model,
        preprocess=preprocess,
        text_model=_text_model(source.text_model),
        tokenize=raw,
        count=tokens.token_counter(raw),
        context_length=int(raw.context_length),
        embed_ids=lambda network, ids: network.encode_text(ids),
    )


def _text_model(folder: Path | None) -> dict[str, Any]:
    """Return the parts of a Hugging Face text tower's configuration that affect its arithmetic."""
    if folder is None:
        return {}
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    idle = {"architectures", "transformers_version", "torch_dtype", "dtype", "use_cache"}
    return {k: v for k, v in config.items() if k not in idle and not k.startswith("_")}


def _ready(
    name: str,
    device: str,
    *,
    model: Any,
    config: dict[str, Any],
    preprocess: dict[str, Any],
    tokenize: Callable[[list[str]], Any],
    count: Callable[[str], int],
    context_length: int,
    embed_ids: Callable[[Any, Any], Any],
    text_model: dict[str, Any] | None = None,
) -> Encoder:
    """Return the assembled encoder with its digest, after a test with one text."""
    import torch

    geometry, mean, std = _geometry(preprocess)
    model.eval()
    with torch.inference_mode():
        ids = torch.as_tensor(tokenize(["a"]))
        dim = int(embed_ids(model, ids.to(device)).shape[-1])
    if device != "cpu":
        model.to(memory_format=torch.channels_last)
    return Encoder(
        name=name,
        digest=identity.encoder_digest(
            building.weights_digest(model),
            model=config,
            preprocess=preprocess,
            text_model=text_model or {},
            tokens=[[int(i) for i in torch.as_tensor(tokenize([text]))[0]] for text in tokens.PROBES],
        ),
        precision="fp32" if device == "cpu" else "amp",
        dim=dim,
        logit_scale=float(model.logit_scale.detach().exp().reshape(-1)[0]),
        context_length=context_length,
        device=device,
        image_side=_side(preprocess["size"]),
        model=model,
        geometry=geometry,
        mean=mean,
        std=std,
        tokenize=tokenize,
        count=count,
        embed_ids=embed_ids,
    )
