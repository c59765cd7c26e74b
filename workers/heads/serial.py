"""Serialization of a head: safetensors with JSON metadata; equal heads give equal bytes.

Nothing is pickled.

Format: tensors ``weights`` (L, d) F32 and ``bias`` (L,) F32; metadata ``head``, one JSON object with sorted
keys. See https://huggingface.co/docs/safetensors for the container.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from workers.heads.head import GaussianHead, LinearHead, LogisticHead, PlainHead
from workers.heads.zero_shot import ZeroShotHead

FORMAT = 1
_MAX_BYTES = 1 << 30
_KINDS: dict[str, type[LinearHead]] = {
    kind.kind: kind for kind in (ZeroShotHead, LogisticHead, GaussianHead, PlainHead)
}

Head = LinearHead


class MalformedHead(ValueError):
    """These bytes are not a head."""


def dump_head(head: LinearHead) -> bytes:
    """Return the bytes of a head, for `load_head`."""
    facts = {
        "format": FORMAT,
        "kind": head.kind,
        "n_labels": head.n_labels,
        "dim": head.dim,
        "logit_scale": head.logit_scale,
        "temperature": head.temperature,
        "calibrated": head.calibrated,
        "details": head.details,
    }
    text = json.dumps(facts, sort_keys=True, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return bytes(save({"bias": head.bias, "weights": head.weights}, metadata={"head": text}))


def load_head(data: bytes) -> Head:
    """Return the head in these bytes.

    Raises:
        MalformedHead: `dump_head` would not write these bytes; with the reason.
    """
    if len(data) > _MAX_BYTES:
        raise MalformedHead("a head of more than 1 GiB is refused")
    facts = _facts(data)
    try:
        tensors = load(bytes(data))
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise MalformedHead(f"not a safetensors file: {error}") from error
    if set(tensors) != {"bias", "weights"}:
        raise MalformedHead(f"expected the tensors bias and weights, found {sorted(tensors)}")
    weights, bias = tensors["weights"], tensors["bias"]
    if weights.dtype != np.float32 or bias.dtype != np.float32:
        raise MalformedHead("weights and bias must be float32")
    if facts.get("format") != FORMAT:
        raise MalformedHead(f"format {facts.get('format')!r} is unknown")
    kind = facts.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise MalformedHead(f"kind {kind!r} is unknown")
    if weights.ndim != 2 or (facts.get("n_labels"), facts.get("dim")) != weights.shape:
        raise MalformedHead("the weights' shape is not the one stated")
    details = facts.get("details")
    if not isinstance(details, dict) or not isinstance(facts.get("calibrated"), bool):
        raise MalformedHead("details or calibrated is missing")
    try:
        head = _KINDS[kind].__new__(_KINDS[kind])
        LinearHead.__init__(
            head,
            weights,
            bias,
            logit_scale=_number(facts, "logit_scale"),
            temperature=_number(facts, "temperature"),
            calibrated=facts["calibrated"],
            details=details,
        )
    except ValueError as error:
        raise MalformedHead(str(error)) from error
    return head


def _number(facts: dict[str, Any], name: str) -> float:
    value = facts.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, got {value!r}")
    return float(value)


def _facts(data: bytes) -> dict[str, Any]:
    """Return the JSON of the metadata, read from the header: 8 bytes of length, then the JSON."""
    if len(data) < 8:
        raise MalformedHead("too short")
    length = int.from_bytes(data[:8], "little")
    if length > min(len(data) - 8, 100_000_000):
        raise MalformedHead("the header is longer than the file")
    try:
        header = json.loads(bytes(data[8 : 8 + length]).decode("utf-8"))
        facts = json.loads(header["__metadata__"]["head"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise MalformedHead("the header holds no description of a head") from error
    if not isinstance(facts, dict):
        raise MalformedHead("the description of the head is not an object")
    return facts
