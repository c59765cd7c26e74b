"""The digest by which an encoder is known: equal digests mean comparable vectors.

Weights alone do not settle a vector. The same file with another activation (`quick_gelu`), another mean and
standard deviation, another way of cropping or another tokenizer gives other vectors, so all of these enter: the
weights, the configuration, the preprocessing, what a few sentences become as tokens, and the version of our own
preparation of images. Nothing of the machine enters: two workers agree. The device's arithmetic is told apart by
`Encoder.precision`.
"""

import hashlib
import json
from typing import Any

# Raise it when imaging or decode.py gives the network other pixels for the same file.
PREPARATION = 2
# What a configuration may say without changing a vector.
_IDLE = {
    "timm_model_pretrained",
    "hf_model_pretrained",
    "hf_tokenizer_name",
    "hf_model_name",
    "patch_dropout",
}


def digest(weights: str, *, model: Any, preprocess: Any, text_model: Any, tokens: list[list[int]]) -> str:
    """SHA-256 (hex) of everything that decides the vectors. ``weights`` is the digest of the weights."""
    whole = {
        "weights": weights,
        "model": _clean(model),
        "preprocess": _clean(preprocess),
        "text_model": _clean(text_model),
        "tokens": tokens,
        "preparation": PREPARATION,
    }
    return hashlib.sha256(
        json.dumps(whole, sort_keys=True, ensure_ascii=True, separators=(",", ":"), default=str).encode()
    ).hexdigest()


def derived(source: str, recipe: str) -> str:
    """The digest of an encoder made from another by a recipe (quantisation, say)."""
    return hashlib.sha256(f"{source} {recipe}".encode()).hexdigest()


def _clean(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _clean(v) for k, v in value.items() if k not in _IDLE}
    if isinstance(value, tuple | list):
        return [_clean(v) for v in value]
    return value
