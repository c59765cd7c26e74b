"""The detail descriptor sees what an encoder loses, on images of any size."""

import io
import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from workers.encoders import detail_vector, load_encoder, stream_detail
from workers.encoders.decode import open_sized
from workers.encoders.detail import DIM, NAMES
from workers.encoders.energy_map import energy_map

Pixels = NDArray[np.uint8]


def cloth(seed: int, side: int = 256) -> Pixels:
    """Return a woven texture with noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    weave = 120 + 20 * np.sin(x * 0.8) * np.sin(y * 0.8)
    return np.clip(weave + rng.normal(0, 4, (side, side)), 0, 255).astype(np.uint8)


def with_spot(pixels: Pixels, top: int = 100, left: int = 60) -> Pixels:
    spotted = pixels.copy()
    spotted[top : top + 6, left : left + 10] = 235
    return spotted


def reference(grey: NDArray[np.float64]) -> dict[str, float]:
    """Return the energies of the first scale, computed pixel by pixel."""
    c = grey[1:-1, 1:-1]
    filtered = {
        "across": grey[1:-1, :-2] + grey[1:-1, 2:] - 2 * c,
        "down": grey[:-2, 1:-1] + grey[2:, 1:-1] - 2 * c,
        "mixed": grey[2:, 2:] + grey[:-2, :-2] - grey[2:, :-2] - grey[:-2, 2:],
        "diagonal": grey[2:, 2:] - grey[:-2, :-2],
        "other_diagonal": grey[2:, :-2] - grey[:-2, 2:],
    }
    expected = {}
    for kind, values in filtered.items():
        energy = values[: len(values) // 2 * 2, : values.shape[1] // 2 * 2] ** 2
        expected[f"{kind}/1/mean"] = energy.mean()
        for window in (4, 8, 16):
            step = window // 2
            means = [
                energy[i : i + window, j : j + window].mean()
                for i in range(0, len(energy) - window + 1, step)
                for j in range(0, energy.shape[1] - window + 1, step)
            ]
            expected[f"{kind}/1/{window}/max"] = max(means)
            expected[f"{kind}/1/{window}/q99"] = sorted(means)[int(0.99 * (len(means) - 1))]
    return expected


def test_energies_are_those_of_the_definition() -> None:
    grey = np.random.default_rng(3).integers(0, 256, (150, 70), dtype=np.uint8)
    vector = dict(zip(NAMES, detail_vector(grey), strict=True))
    for name, energy in reference(grey.astype(np.float64)).items():
        assert vector[name] == pytest.approx(np.log(energy + 0.1), abs=1e-4), name


def test_patterns_are_shares_and_white_is_not_brighter_than_white() -> None:
    shares = np.array([name.startswith("pattern/1/") for name in NAMES])
    noise = detail_vector(np.random.default_rng(0).integers(0, 256, (90, 90), dtype=np.uint8))
    assert (noise[shares] ** 2).sum() == pytest.approx(1, abs=1e-5)
    for value in (0, 254, 255):
        flat = detail_vector(np.full((90, 90), value, np.uint8))
        assert flat[shares][0] == 1 and not flat[shares][1:].any()
        assert np.allclose(flat[[name.endswith("max") for name in NAMES]], np.log(0.1), atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (1, 80), (80, 1), (2, 3), (5, 5), (7, 31), (129, 130)])
def test_every_size_has_a_finite_vector(shape: tuple[int, int]) -> None:
    grey = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    vector = detail_vector(grey)
    assert vector.shape == (DIM,) == (len(NAMES),) and vector.dtype == np.float32
    assert np.isfinite(vector).all()
    assert np.array_equal(vector, detail_vector(Image.fromarray(grey)))
    assert np.array_equal(vector, detail_vector(np.repeat(grey[..., None], 3, axis=2))), "colour is not seen"


def test_a_spot_of_sixty_pixels_stands_out_wherever_it_is() -> None:
    clean = np.array([detail_vector(cloth(seed)) for seed in range(12)])
    spread = np.maximum(clean.std(axis=0), 0.1)
    for place in ((10, 10), (100, 60), (240, 200)):
        moved = detail_vector(with_spot(cloth(99), *place))
        assert (np.abs(moved - clean.mean(axis=0)) / spread).max() > 10
    other = detail_vector(cloth(98))
    assert (np.abs(other - clean.mean(axis=0)) / spread).max() < 5


def test_memory_of_a_large_image_is_a_few_bytes_a_pixel() -> None:
    image = Image.effect_noise((4000, 3000), 40)
    tracemalloc.start()
    detail_vector(image)
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * 12_000_000


def test_large_jpegs_keep_their_detail(tiny_encoder: str) -> None:
    """Their pixels for the network are decoded at a fraction of the size; the detail is not."""
    encoder = load_encoder(tiny_encoder, device="cpu")
    buffer = io.BytesIO()
    Image.fromarray(with_spot(cloth(5, 2048))).convert("RGB").save(buffer, "JPEG", quality=95)
    data = buffer.getvalue()
    with open_sized(data, side=encoder.image_side) as (image, whole):
        assert not whole and image.width < 2048
    (chunk,) = encoder.encode_stream([("big", data)], needs_detail=lambda key: True)
    (plain,) = encoder.encode_stream([("big", data)])
    assert np.array_equal(chunk.vectors, plain.vectors), "the embedding is the same with and without detail"
    assert not plain.detail
    expected = detail_vector(Image.open(io.BytesIO(data)).convert("RGB"))
    assert np.array_equal(chunk.detail["big"], expected)
    (alone,) = stream_detail([("big", data), ("no", b"no image")])
    assert np.array_equal(alone.vectors[0], expected) and set(alone.errors) == {"no"}


@pytest.mark.parametrize("size", [(256, 256), (90, 300), (300, 60), (7, 5), (1, 1), (1, 40)])
def test_an_energy_map_is_highest_at_the_spot(size: tuple[int, int]) -> None:
    height, width = size
    plain = cloth(1, 300)[:height, :width]
    made = energy_map(plain)
    assert made.dtype == np.float32 and made.min() >= 0 and np.isfinite(made).all()
    assert max(made.shape) == min(24, max(1, max(size) // 8))
    if min(size) < 60:
        return
    top, left = height * 2 // 3, width // 4
    spotted = energy_map(with_spot(plain, top, left))
    row, column = np.unravel_index(spotted.argmax(), spotted.shape)
    # The spot is 6 × 10 pixels, and windows of the coarsest scale reach 32 pixels further.
    assert abs((row + 0.5) * height / spotted.shape[0] - (top + 3)) < 32
    assert abs((column + 0.5) * width / spotted.shape[1] - (left + 5)) < 32
    assert spotted.max() > 2 * made.max()
