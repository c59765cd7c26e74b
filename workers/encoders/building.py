"""Network in memory from a configuration and a file of weights, neither of which is trusted."""

import contextlib
import copy
import hashlib
import json
import pickle  # nosec: only for the name of an error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import EncoderError
from .importing import import_transformers
from .sources import Source, invalid_config_error

_LIMITS = {"layers": 200, "vocab_size": 4_000_000, "image_size": 4096, "context_length": 16_384}
_LIMIT = 65_536  # for every other integer: no width, head or patch is larger
_TOKENIZER_OPTIONS = {"clean", "strip_sep_token", "language", "additional_special_tokens"}
_SPARE = 300 << 20  # bytes that torch and the batches need besides the weights


def validated_config(source: Source) -> dict[str, Any]:
    """Return the model's configuration, checked to be safe to build.

    Sizes are within limits, and nothing in it loads code or uses a network. Raises EncoderError otherwise.
    """
    model = copy.deepcopy(source.model)
    _bounded(model, "model_cfg", 0)
    if not isinstance(model.get("embed_dim"), int) or model["embed_dim"] < 1:
        raise invalid_config_error("«embed_dim» is not a whole number")
    vision, text = model["vision_cfg"], model["text_cfg"]
    if "timm_model_name" in vision:
        import timm

        if vision["timm_model_name"] not in timm.list_models():
            raise invalid_config_error(f"timm has no model {vision['timm_model_name']!r}")
        vision["timm_model_pretrained"] = False
    if source.text_model is not None:
        _plain_text_model(source.text_model)
        text["hf_model_name"] = str(source.text_model)
        text["hf_model_pretrained"] = False
    options = text.get("tokenizer_kwargs") or {}
    if not isinstance(options, dict) or set(options) - _TOKENIZER_OPTIONS:
        raise invalid_config_error("«tokenizer_kwargs» has options that are not allowed")
    return model


def _bounded(value: Any, name: str, depth: int) -> None:
    """Raise EncoderError for numbers that no real model has, before memory is allocated for them."""
    if depth > 6:
        raise invalid_config_error("it is nested too deeply")
    if isinstance(value, dict):
        for key, inner in value.items():
            _bounded(inner, str(key), depth + 1)
    elif isinstance(value, list):
        if len(value) > 64:
            raise invalid_config_error(f"«{name}» is too long")
        for inner in value:
            _bounded(inner, name, depth + 1)
    elif isinstance(value, int) and not isinstance(value, bool):
        limit = next((most for part, most in _LIMITS.items() if name.endswith(part)), _LIMIT)
        if not -1 <= value <= limit and name != "init_logit_bias":
            raise invalid_config_error(f"«{name}» is {value}")
    elif isinstance(value, str) and len(value) > 500:
        raise invalid_config_error(f"«{name}» is too long")


def _plain_text_model(folder: Path) -> None:
    """Raise EncoderError if a text tower's configuration brings code to run."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise invalid_config_error(f"config.json of the text tower cannot be read ({error})") from error
    if not isinstance(config, dict) or "auto_map" in config:
        raise EncoderError(
            f"«{folder / 'config.json'}» wants to run code of its own, which is not allowed.",
            "unsafe",
            file=str(folder / "config.json"),
        )
    _bounded({k: v for k, v in config.items() if isinstance(v, int)}, "config.json", 0)


def build(source: Source, *, name: str, device: str) -> tuple[Any, dict[str, Any]]:
    """Return (network in evaluation mode on the device, its preprocessing configuration).

    Raises EncoderError.
    """
    import torch
    from open_clip import CLIP, CoCa, CustomTextCLIP, load_checkpoint
    from open_clip.transform import PreprocessCfg, merge_preprocess_dict

    config = validated_config(source)
    if "hf_model_name" in config["text_cfg"]:
        import_transformers()
    custom = config.pop("custom_text", False) or "hf_model_name" in config["text_cfg"]
    kind: Any = CLIP
    if custom:
        kind = CoCa if "multimodal_cfg" in config else CustomTextCLIP

    def create_model() -> Any:
        try:
            return kind(**copy.deepcopy(config))
        except (MemoryError, EncoderError):
            raise
        except Exception as error:
            # Wrong values in a configuration make the towers raise many types: TypeError, AssertionError, …
            raise invalid_config_error(f"no model can be made of it ({_first_line(error)})") from error

    with torch.device("meta"):
        meta_model = create_model()  # shapes without memory
    parameters = sum(p.numel() for p in meta_model.parameters())
    stored = source.checkpoint.stat().st_size
    if parameters > 2 * stored:  # below half a byte per weight: the file cannot belong to this model
        raise _does_not_fit(
            source.checkpoint, f"{parameters:,} weights are expected in a file of {stored:,} bytes"
        )
    require_memory(4 * parameters + stored, name=name, device=device, on_device=4 * parameters)
    model = create_model()
    with _reading(source.checkpoint):
        load_checkpoint(model, str(source.checkpoint), strict=True, weights_only=True, device="cpu")
    model.eval().requires_grad_(False)
    preprocess = merge_preprocess_dict(PreprocessCfg().__dict__, _known(source.preprocess))
    if hasattr(model.visual, "image_size"):
        preprocess["size"] = model.visual.image_size
    return model.to(device), preprocess


def _known(preprocess: dict[str, Any]) -> dict[str, Any]:
    from open_clip.transform import PreprocessCfg

    known = {k: v for k, v in preprocess.items() if k in PreprocessCfg.__dataclass_fields__}
    _bounded(known, "preprocess_cfg", 0)
    return known


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__


@contextlib.contextmanager
def _reading(file: Path) -> Iterator[None]:
    """Convert the errors of reading a file of weights to EncoderError or MemoryError."""
    from safetensors import SafetensorError

    try:
        yield
    except (SafetensorError, EOFError, StopIteration) as error:
        raise damaged_error(file) from error
    except pickle.UnpicklingError as error:
        if "Weights only load failed" in str(error) or "Unsupported" in str(error):
            raise unsafe_weights_error(file) from error
        raise damaged_error(file) from error
    except (RuntimeError, AssertionError, LookupError, AttributeError, TypeError, ValueError) as error:
        text = str(error)
        if "TorchScript" in text:
            raise unsafe_weights_error(file) from error
        if "Error(s) in loading state_dict" in text or not isinstance(error, RuntimeError):
            raise _does_not_fit(file, _mismatch(error)) from error
        if "memory" in text.lower():
            raise MemoryError(text) from error
        raise damaged_error(file) from error


def _mismatch(error: Exception) -> str:
    """Return the first mismatch of the many that torch lists."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[1] if len(lines) > 1 else (lines or [type(error).__name__])[0])[:300]


def damaged_error(file: Path) -> EncoderError:
    """Return the error for a file of weights that cannot be read to its end."""
    return EncoderError(
        f"The weights in «{file}» are damaged or incomplete: copy the file again.",
        "damaged",
        file=str(file),
    )


def unsafe_weights_error(file: Path) -> EncoderError:
    """Return the error for a file of weights that is a program."""
    return EncoderError(
        f"«{file}» holds more than tensors and would run code when read; it is not. "
        "Save the model as safetensors.",
        "unsafe",
        file=str(file),
    )


def _does_not_fit(file: Path, reason: str) -> EncoderError:
    return EncoderError(
        f"The weights in «{file}» do not fit the architecture of the configuration: {reason}",
        "wrong_architecture",
        file=str(file),
        reason=reason,
    )


def require_memory(needed: int, *, name: str, device: str, on_device: int) -> None:
    """Raise EncoderError if loading would make the machine swap or the kernel kill the worker.

    `needed` and `on_device` are in bytes.
    """
    import torch

    if device != "cpu":
        free = torch.cuda.mem_get_info(device)[0]
        if free < on_device + _SPARE:
            raise _no_memory(name, on_device + _SPARE, free, "no_gpu_memory", "memory of the GPU")
    free = free_memory()
    if free < needed + _SPARE:
        raise _no_memory(name, needed + _SPARE, free, "no_memory", "memory")


def _no_memory(name: str, needed: int, free: int, code: str, kind: str) -> EncoderError:
    return EncoderError(
        f"Loading «{name}» needs about {needed >> 20} MB of {kind}; {free >> 20} MB are free.",
        code,
        name=name,
        needed=str(needed >> 20),
        free=str(free >> 20),
    )


def free_memory() -> int:
    """Return the bytes that this process may still use.

    This is the free memory of the machine, or of its container if that is less.
    """
    import psutil

    free = int(psutil.virtual_memory().available)
    with contextlib.suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        most = (group / "memory.max").read_text().strip()
        if most != "max":
            free = min(free, int(most) - int((group / "memory.current").read_text()))
    return max(free, 0)


def weights_digest(model: Any) -> str:
    """Return the SHA-256 over names, shapes, types and bytes of all weights.

    The digest does not depend on the file format of the weights.
    """
    digest = hashlib.sha256()
    for key, tensor in sorted(model.state_dict().items()):
        value = tensor.detach().cpu().contiguous()
        digest.update(f"{key} {tuple(value.shape)} {value.dtype}\n".encode())
        digest.update(memoryview(value.reshape(-1).view(_bytes()).numpy()))
    return digest.hexdigest()


def _bytes() -> Any:
    import torch

    return torch.uint8
