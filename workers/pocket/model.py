"""Build, load and save the `pocket` network.

It is built by open_clip's factory from our configuration, with or without its weights.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workers.encoders.importing import import_open_clip

if TYPE_CHECKING:
    from torch import Tensor, nn

HERE = Path(__file__).parent
CONFIG = HERE / "config.json"
WEIGHTS = HERE / "pocket.safetensors"


def configuration() -> dict[str, Any]:
    """Return open_clip's `model_cfg` and `preprocess_cfg`."""
    return json.loads(CONFIG.read_text(encoding="utf-8"))


def build(seed: int | None = None) -> "nn.Module":
    """Return the network with random weights in training mode; `seed` makes the weights reproducible."""
    open_clip = import_open_clip()
    import torch

    from workers.pocket import tower  # noqa: F401 (registers itself with timm)

    if seed is not None:
        torch.manual_seed(seed)
    cfg = {key: value for key, value in configuration()["model_cfg"].items() if key != "custom_text"}
    return open_clip.CustomTextCLIP(**cfg)


def embed_trimmed_texts(model: Any, ids: "Tensor") -> "Tensor":
    """Return (n, d) text features of (n, t) token ids, with t at most the context length.

    The cost grows with t, not with the context length. Attention is causal and the feature is read at the end
    token, so padding columns would not change the result.
    """
    tower = model.text
    whole = tower.attn_mask
    tower.attn_mask = whole[: ids.shape[1], : ids.shape[1]]
    try:
        return tower(ids)
    finally:
        tower.attn_mask = whole


def load(path: Path = WEIGHTS) -> "nn.Module":
    """Return the trained network in float32 on the CPU, in evaluation mode.

    Raises FileNotFoundError if there is no weights file, SafetensorError if it cannot be read.
    """
    from safetensors.torch import load_file

    model = build()
    model.load_state_dict({name: tensor.float() for name, tensor in load_file(path).items()}, strict=False)
    return model.eval()


def save(state: dict[str, Any], path: Path = WEIGHTS) -> None:
    """Store the weights as float16, without the counters that only training needs."""
    import torch
    from safetensors.torch import save_file

    kept = {
        name: tensor.detach().to(torch.float16).contiguous().clone()
        for name, tensor in state.items()
        if tensor.is_floating_point()
    }
    save_file(kept, path)
