"""Weights of single labels of a head, read from its file without the worker's packages.

Format: workers/heads/serial.py. A safetensors file begins with the length of its header (8 bytes,
little-endian) and the header in JSON, which gives type, shape and place of each tensor
(https://huggingface.co/docs/safetensors).
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mekiki.learning.models import Head

FORMAT = 1


class MalformedHeadError(ValueError):
    """Raised if the stored bytes of a head are not a head, with the reason."""


@dataclass(frozen=True)
class LinearParts:
    """The rows of a head for some labels: logits = logit_scale · x · weightsᵀ + bias.

    weights: (k, d) float64, in the order that was asked for. bias: (k,) float64. `rest`: (d,) float64, the
    mean of the weights of the labels that were not asked for, zeros if there are none. text_scale: the factor
    on the class embeddings that the training chose; 1 for a head of prompts alone, 0 for a head without
    prompts. `detail_centre`: the local detail of the mean training image, if the head reads the detail after
    the embedding; else empty.
    """

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    rest: NDArray[np.float64]
    logit_scale: float
    text_scale: float
    detail_centre: tuple[float, ...] = ()


def read_parts(head: Head, label_ids: Sequence[int]) -> LinearParts:
    """Return the rows of a head for these labels.

    Raises MalformedHeadError if the bytes are not a head or the head has no such label.
    """
    places = [head.label_ids.index(label) for label in label_ids if label in head.label_ids]
    if len(places) != len(label_ids):
        raise MalformedHeadError("the head does not have these labels")
    data = bytes(Head.objects.values_list("weights", flat=True).get(pk=head.pk))
    try:
        (length,) = np.frombuffer(data[:8], "<u8")
        header = json.loads(data[8 : 8 + int(length)])
        facts = json.loads(header["__metadata__"]["head"])
        body = memoryview(data)[8 + int(length) :]
        weights, bias = _tensor(header["weights"], body), _tensor(header["bias"], body)
        logit_scale = float(facts["logit_scale"])
        text_scale = float(facts["details"].get("text_scale", _text_scale_of_kind(head.kind)))
        centre = tuple(float(value) for value in facts["details"].get("detail", {}).get("centre", ()))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise MalformedHeadError(f"the stored bytes are not a head ({error})") from error
    n = len(head.label_ids)
    if facts.get("format") != FORMAT or weights.ndim != 2 or len(weights) != n or bias.shape != (n,):
        raise MalformedHeadError("the format or the shapes are not those of a head")
    if not (math.isfinite(logit_scale) and math.isfinite(text_scale)):
        raise MalformedHeadError("the scales are not finite")
    others = np.delete(weights, places, axis=0).astype(np.float64)
    rest = others.mean(axis=0) if len(others) else np.zeros(weights.shape[1])
    chosen = weights[places].astype(np.float64)
    return LinearParts(chosen, bias[places].astype(np.float64), rest, logit_scale, text_scale, centre)


def _text_scale_of_kind(kind: str) -> float:
    return 0.0 if kind == Head.Kind.PLAIN else 1.0


def _tensor(about: dict[str, Any], body: memoryview) -> NDArray[np.float32]:
    if about["dtype"] != "F32":
        raise ValueError(f"type {about['dtype']!r}")
    first, last = about["data_offsets"]
    return np.frombuffer(body[first:last], "<f4").reshape(about["shape"])
