"""The probe: known pictures and sentences, and how far their vectors may differ from the record."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from workers.encoders import Encoder, EncoderError, VectorMismatchError, load_encoder
from workers.encoders.probing import (
    COUNT,
    LEAST,
    PICTURES,
    SENTENCES,
    cosines_of,
    probe_texts,
    require_same_vectors,
)


@pytest.fixture(scope="module")
def encoder(folder: Path) -> Encoder:
    return load_encoder(f"local-dir:{folder}", device="cpu")


def compare(computed: np.ndarray, recorded: np.ndarray, precision: str = "fp32") -> None:
    require_same_vectors(computed, recorded, name="NAME", precision=precision, host="HOST")


def turn_vector(vectors: np.ndarray, cosine: float, row: int) -> np.ndarray:
    """Return the vectors with one of them turned to this cosine with itself."""
    result = vectors.astype(np.float64).copy()
    other = np.random.default_rng(1).normal(size=result.shape[1])
    other -= (other @ result[row]) * result[row]
    result[row] = cosine * result[row] + np.sqrt(1 - cosine**2) * other / np.linalg.norm(other)
    return result.astype(np.float32)


def test_probe_has_distinct_unit_vectors_and_is_computed_once(encoder: Encoder) -> None:
    vectors = encoder.probe
    assert vectors.shape == (COUNT, encoder.dim) and vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert len(np.unique(vectors.round(4), axis=0)) == COUNT, (
        "an encoder that gives one vector for all inputs would pass otherwise"
    )
    assert encoder.probe is vectors
    assert np.array_equal(vectors[PICTURES:], probe_texts(encoder))
    compare(vectors, load_encoder(encoder.name, device="cpu").probe)
    compare(probe_texts(encoder), vectors)


@pytest.mark.parametrize("precision", sorted(LEAST))
@pytest.mark.parametrize("row", [0, PICTURES - 1, PICTURES, COUNT - 1])
def test_vector_that_differs_too_much_is_refused_with_the_cosine(
    encoder: Encoder, precision: str, row: int
) -> None:
    picture = row < PICTURES
    least = LEAST[precision] if picture or precision == "amp" else LEAST["fp32"]
    compare(turn_vector(encoder.probe, 1 - (1 - least) / 2, row), encoder.probe, precision)
    with pytest.raises(VectorMismatchError) as caught:
        compare(turn_vector(encoder.probe, 1 - (1 - least) * 2, row), encoder.probe, precision)
    assert caught.value.code == "differs_here"
    assert (caught.value.details["host"], caught.value.details["name"]) == ("HOST", "NAME")
    assert float(caught.value.details["cosine"]) < float(caught.value.details["least"]) == least
    if not picture:
        with pytest.raises(VectorMismatchError):
            compare(turn_vector(encoder.probe, 1 - (1 - least) * 2, row)[PICTURES:], encoder.probe, precision)


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_invalid_vectors_are_refused(encoder: Encoder, value: float) -> None:
    broken = encoder.probe.copy()
    broken[3] = value
    with pytest.raises(VectorMismatchError):
        compare(broken, encoder.probe)
    with pytest.raises(VectorMismatchError):
        compare(encoder.probe, broken)
    with pytest.raises(VectorMismatchError):
        compare(encoder.probe, encoder.probe[:5])
    assert cosines_of(encoder.probe[:, :4], encoder.probe).tolist() == [-1.0] * COUNT
    assert len(SENTENCES) + PICTURES == COUNT


def compute_probe_with(name: str, folder: Path, **environment: str) -> np.ndarray:
    """Run the probe in a separate process with these variables."""
    out = folder / "probe.npy"
    code = (
        "import sys, numpy; from workers.encoders import load_encoder; "
        "numpy.save(sys.argv[2], load_encoder(sys.argv[1], device='cpu').probe)"
    )
    root = Path(__file__).resolve().parents[3]
    path = os.pathsep.join([str(root / "platform"), str(root)])
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, name, str(out)],
        env=os.environ | {"PYTHONPATH": path} | environment,
        check=True,
        capture_output=True,
    )
    return np.load(out)


def test_other_kernels_of_torch_on_this_processor_are_accepted(tmp_path: Path) -> None:
    here = load_encoder("pocket", device="cpu").probe
    plain = compute_probe_with("pocket", tmp_path, ATEN_CPU_CAPABILITY="default", ONEDNN_MAX_CPU_ISA="SSE41")
    compare(plain, here)
    assert (1 - cosines_of(plain, here)).max() < 1e-9


@pytest.mark.parametrize("value", [np.nan, 0.0])
def test_encoder_with_invalid_vectors_is_refused(folder: Path, value: float) -> None:
    import torch

    broken = load_encoder(f"local-dir:{folder}", device="cpu")
    with torch.no_grad():
        broken.model.visual.proj.fill_(value)
    with pytest.raises(EncoderError) as caught:
        _vectors = broken.probe
    assert (caught.value.code, caught.value.details["name"]) == ("unusable", broken.name)
