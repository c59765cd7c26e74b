"""Vectors of known images and sentences, to compare the workers' results with each other.

Two processors, GPUs or versions of a library may compute different vectors from the same weights. The digest
of an encoder (identity.py) cannot show that; these vectors do. docs/decisions/0020 explains the bounds.
"""

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from .errors import EncoderError, VectorMismatchError
from .probes import probe_images

if TYPE_CHECKING:
    from .encoder import Encoder

# Increase it when an image or a sentence changes: vectors of another version are not compared.
PROBE_VERSION = 1
PICTURES, SIDE = 8, 160
SENTENCES = ("a photo of a part", "scratches on a steel plate", "金属表面の傷", "42 mm")
COUNT = PICTURES + len(SENTENCES)
# Smallest accepted cosine to the recorded vectors, by the encoder's precision. Measured: fp32 differs by less
# than 1e-12 between instruction sets, threads and batches, int8 by 4e-4, fp32 that is secretly bfloat16 by
# 2e-4.
LEAST = {"fp32": 0.99999, "onnx": 0.99999, "int8": 0.999, "amp": 0.999}
# torch embeds texts also where ONNX Runtime embeds images. Search embeds texts on the CPU even if there is a
# GPU.
LEAST_TEXT = LEAST | {"int8": LEAST["fp32"]}


def probe_vectors(encoder: "Encoder") -> np.ndarray:
    """Return the vectors (COUNT, d) float32 of the images, then of the sentences, by the usual path.

    Raises EncoderError if they are not unit vectors: the weights are damaged.
    """
    pictures = [Image.fromarray(pixels) for pixels in probe_images(PICTURES, SIDE, seed=2)]
    vectors = np.concatenate([encoder.encode_images(pictures).vectors, probe_texts(encoder)])
    right = vectors.shape == (COUNT, encoder.dim) and bool(np.isfinite(vectors).all())
    if not right or np.abs(np.linalg.norm(vectors, axis=1) - 1).max() > 0.01:
        raise EncoderError(
            f"«{encoder.name}» was loaded, but what it computes from known pictures and sentences cannot be "
            "used: its weights are damaged, or do not belong to its architecture.",
            "unusable",
            name=encoder.name,
        )
    return vectors


def probe_texts(encoder: "Encoder") -> np.ndarray:
    """Return the vectors (len(SENTENCES), d) float32 of the sentences."""
    return encoder.encode_texts(SENTENCES)


def require_same_vectors(
    computed: np.ndarray, recorded: np.ndarray, *, name: str, precision: str, host: str
) -> None:
    """Compare probe vectors (COUNT, d), or the vectors of the sentences alone, with the record.

    Raises OtherVectorsError if they differ too much.
    """
    recorded = recorded[-len(computed) :]
    cosines = cosines_of(computed, recorded)
    least = np.full(len(computed), LEAST_TEXT.get(precision, LEAST_TEXT["fp32"]))
    least[: -len(SENTENCES)] = LEAST.get(precision, LEAST["fp32"])
    worst = int(np.argmin(cosines - least))
    if cosines[worst] < least[worst]:
        raise VectorMismatchError(
            f"The worker on {host} computes other vectors with «{name}» than those on record (cosine "
            f"{cosines[worst]:.6f}, at least {least[worst]} is needed).",
            "differs_here",
            name=name,
            host=host,
            cosine=f"{cosines[worst]:.6f}",
            least=f"{least[worst]}",
        )


def cosines_of(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the cosines (n,) of the rows of two arrays (n, d).

    A cosine is -1 if it cannot be computed or the shapes differ.
    """
    if a.shape != b.shape:
        return np.full(len(a), -1.0)
    a, b = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(all="ignore"):
        cosines = (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    return np.where(np.isfinite(cosines), cosines, -1.0)
