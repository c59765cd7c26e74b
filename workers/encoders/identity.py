"""The digest that identifies an encoder: equal digests mean comparable vectors.

Weights alone do not determine a vector. The same file with another activation (`quick_gelu`), another mean
and standard deviation, another way of cropping or another tokenizer gives other vectors. The digest therefore
covers the weights, the configuration, the preprocessing, the tokens of a few sentences, and the version of
our own preparation of images. It does not depend on the machine, so two workers get the same digest.
`Encoder.precision` distinguishes the arithmetic of devices.
"""

import hashlib
import json
from typing import Any

# Increase it when imaging or decode.py gives the network other pixels for the same file.
PREPARATION = 2
# Keys of a configuration that do not change a vector.
_KEYS_WITHOUT_EFFECT = {
    "timm_model_pretrained",
    "hf_model_pretrained",
    "hf_tokenizer_name",
    "hf_model_name",
    "patch_dropout",
}


def encoder_digest(
    weights: str, *, model: Any, preprocess: Any, text_model: Any, tokens: list[list[int]]
) -> str:
    """Return the SHA-256 (hex) of everything that determines the vectors.

    ``weights`` is the digest of the weights.
    """
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


def derived_digest(source: str, recipe: str) -> str:
    """Return the digest of an encoder that a recipe makes from another one (for example, quantisation)."""
    return hashlib.sha256(f"{source} {recipe}".encode()).hexdigest()


def _clean(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _clean(v) for k, v in value.items() if k not in _KEYS_WITHOUT_EFFECT}
    if isinstance(value, tuple | list):
        return [_clean(v) for v in value]
    return value
