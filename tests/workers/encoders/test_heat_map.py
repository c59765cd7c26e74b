"""Heat maps: they find the part of the image that the score depends on, and depend on the head."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from workers.encoders import PictureError, heat_map, load_encoder
from workers.encoders.heat_map import TooSlowError, draw, gradient_map, occlusion_map, view_of
from workers.evaluation.faithfulness import enlarged, faithfulness


class QuadrantEncoder:
    """A stand-in whose embedding is the brightness of the four quadrants of the image, from 0 to 1."""

    dim, device, image_side = 4, "cpu", 32
    tower: Any = None

    def __init__(self, geometry: Any = lambda image: image.resize((32, 32))) -> None:
        self.geometry = geometry

    def embed_tensor(self, pixels: Any) -> Any:
        quadrants = pixels.float().mean(-1).reshape(len(pixels), 2, 16, 2, 16).mean((2, 4)) / 255
        return quadrants.reshape(len(pixels), 4)

    def embed_pixels(self, pixels: np.ndarray) -> np.ndarray:
        import torch

        return self.embed_tensor(torch.from_numpy(pixels)).numpy()


@pytest.fixture
def encoder() -> Any:
    return QuadrantEncoder()


@pytest.fixture
def spotted() -> np.ndarray:
    """Return a grey image (32, 32, 3) with a bright spot below right, and a dark one above left."""
    pixels = np.full((32, 32, 3), 128, np.uint8)
    pixels[22:26, 22:26] = 255
    pixels[6:10, 6:10] = 0
    return pixels


# The brightness of the lower right supports the label, the brightness of the upper left is against it.
DIRECTION = np.array([-1.0, 0.0, 0.0, 1.0]) * 10


@pytest.mark.parametrize("method", [occlusion_map, gradient_map])
def test_map_is_strongest_where_the_score_comes_from(method: Any, encoder: Any, spotted: np.ndarray) -> None:
    made = method(encoder, spotted, DIRECTION, grid=4)
    assert made.values.shape == (4, 4) and made.values.dtype == np.float32
    strongest = np.unravel_index(np.argsort(-made.values, axis=None)[:2], made.values.shape)
    assert {(int(row), int(column)) for row, column in zip(*strongest, strict=True)} <= {
        (0, 0), (0, 1), (1, 0), (1, 1), (2, 2), (2, 3), (3, 2), (3, 3),
    }  # fmt: skip
    # The lower left and the upper right do not matter, but for what a window covers of the other quadrants.
    assert abs(made.values[0, 3]) < 1e-4 and abs(made.values[3, 0]) < 1e-4
    against = method(encoder, spotted, -DIRECTION, grid=4)
    assert np.allclose(against.values, -made.values, atol=1e-5)
    assert made.lead == pytest.approx(float(encoder.embed_pixels(spotted[None])[0] @ DIRECTION), rel=1e-5)


def test_gradients_add_up_to_the_change_of_the_lead(encoder: Any, spotted: np.ndarray) -> None:
    made = gradient_map(encoder, spotted, DIRECTION)
    assert float(made.values.sum()) == pytest.approx(made.lead - made.blurred_lead, abs=1e-4)


def test_map_of_another_head_differs(tiny_encoder: str) -> None:
    """The check of sanity of Adebayo et al. (arXiv 1810.03292): the map depends on the head."""
    from scipy.stats import spearmanr

    real, dice = load_encoder(tiny_encoder, device="cpu"), np.random.default_rng(3)
    pixels = dice.integers(0, 255, (32, 32, 3)).astype(np.uint8)
    heads = dice.standard_normal((8, real.dim)).astype(np.float32)
    maps = [gradient_map(real, pixels, head).values.ravel() for head in heads]
    assert np.allclose(gradient_map(real, pixels, heads[0]).values.ravel(), maps[0], atol=1e-5)
    correlations = [abs(float(spearmanr(maps[0], other)[0])) for other in maps[1:]]
    assert float(np.mean(correlations)) < 0.6


def test_encoder_without_gradients_is_occluded(
    encoder: Any, spotted: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, seen = Image.fromarray(spotted), []
    assert draw(encoder, image, DIRECTION, seconds=math.inf).method == "gradient"
    encoder.tower = object()
    made = draw(encoder, image, DIRECTION, seconds=math.inf, progress=lambda *now: seen.append(now))
    assert made.method == "occlusion" and seen[-1] == (144, 144) and made.view == (0, 0, 1, 1)
    with pytest.raises(ValueError, match="no gradients"):
        gradient_map(encoder, spotted, DIRECTION)


def test_grid_is_coarser_for_a_slow_encoder_and_refused_for_a_slower_one(
    encoder: Any, spotted: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter(range(100))
    monkeypatch.setattr(heat_map.time, "perf_counter", lambda: float(next(ticks)))  # 0.5 s for each image
    assert occlusion_map(encoder, spotted, DIRECTION, seconds=20).values.shape == (6, 6)
    seen: list[tuple[int, int]] = []
    gradient_map(encoder, spotted, DIRECTION, seconds=8, progress=lambda *now: seen.append(now))
    assert seen[-1] == (5, 5)  # of 8 points
    for method, seconds in ((occlusion_map, 7), (gradient_map, 1)):
        with pytest.raises(TooSlowError):
            method(encoder, spotted, DIRECTION, seconds=seconds)


@pytest.mark.parametrize(
    ("pixels", "direction"),
    [
        (np.zeros((32, 32), np.uint8), np.zeros(4)),
        (np.zeros((32, 32, 3), np.float32), np.zeros(4)),
        (np.zeros((32, 32, 3), np.uint8), np.zeros(3)),
        (np.zeros((32, 32, 3), np.uint8), np.full(4, np.nan)),
    ],
)
def test_wrong_shapes_are_refused(encoder: Any, pixels: np.ndarray, direction: np.ndarray) -> None:
    for method in (occlusion_map, gradient_map):
        with pytest.raises(ValueError, match="must be"):
            method(encoder, pixels, direction)


def test_file_that_is_no_image_is_refused(encoder: Any) -> None:
    with pytest.raises(PictureError):
        draw(encoder, b"GIF89a nothing", np.zeros(4), seconds=9)


@pytest.mark.parametrize("size", [(300, 100), (100, 300), (128, 128), (4000, 3000)])
def test_view_is_what_the_encoder_crops_squashes_or_pads(size: tuple[int, int]) -> None:
    from workers.encoders.torchvision_shim import ensure_torchvision

    ensure_torchvision()
    from open_clip.transform import PreprocessCfg, image_transform_v2
    from torchvision.transforms import Compose

    width, height = size
    for mode, side in {"squash": 0, "shortest": min(size), "longest": max(size)}.items():
        # Cropped and padded images are seen around their middle.
        x, y = (side / width / 2, side / height / 2) if side else (0.5, 0.5)
        expected = (0.5 - x, 0.5 - y, 0.5 + x, 0.5 + y)
        steps = image_transform_v2(
            PreprocessCfg(size=(96, 96), resize_mode=mode, fill_color=0), is_train=False
        )
        other: Any = QuadrantEncoder(Compose(steps.transforms[:-2]))
        assert view_of(other, size) == pytest.approx(expected, abs=0.02 * max(1.0, max(size) / min(size))), (
            mode
        )


@given(st.integers(0, 2**32), st.integers(2, 9), st.integers(2, 9))
def test_the_map_that_is_the_score_itself_is_the_most_faithful(seed: int, rows: int, columns: int) -> None:
    """If the score is a sum over pixels, no other order of them falls faster."""
    dice = np.random.default_rng(seed)
    weights = dice.normal(size=(rows, columns))
    image = np.full((rows, columns, 3), 200, np.uint8)
    base = np.zeros_like(image)

    def score(images: np.ndarray) -> np.ndarray:
        return (images[..., 0] / 200.0 * weights).sum((1, 2))

    if abs(weights.sum()) < 0.5:
        return
    sign = np.sign(weights.sum())
    own = faithfulness(weights * sign, image, base, score)
    other = faithfulness(dice.normal(size=weights.shape), image, base, score)
    assert own.deletion <= other.deletion + 1e-9 and own.insertion >= other.insertion - 1e-9


def test_equal_scores_have_no_faithfulness() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(ValueError, match="same score"):
        faithfulness(np.ones((2, 2)), image, image, lambda images: images.sum((1, 2, 3)).astype(float))
    with pytest.raises(ValueError, match="one shape"):
        faithfulness(np.ones((2, 2)), image, image[:2], lambda images: images.sum((1, 2, 3)).astype(float))


def test_map_is_enlarged_between_the_middles_of_its_cells() -> None:
    assert enlarged(np.array([[0.0, 4.0]]), 1, 4).tolist() == [[0.0, 1.0, 3.0, 4.0]]
