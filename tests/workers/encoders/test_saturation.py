"""The 8-bit products of +int8 fit into 16 bits.

Therefore processors with and without VNNI compute the same vectors.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx import TensorProto, helper, numpy_helper

from workers.encoders import EncoderError, load_encoder, onnx_tower
from workers.encoders.probes import probe_images
from workers.encoders.saturation import LIMIT, largest_pair_sum


def vpmaddubsw(activations: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return what AVX2 computes from (n, k) uint8 and (k,) int8.

    Products of neighbours are added, clipped to 16 bits, and then summed.
    """
    pairs = (activations.astype(np.int64) * weights).reshape(len(activations), -1, 2).sum(2)
    return np.clip(pairs, -LIMIT - 1, LIMIT).sum(1)


def graph_of(weights: np.ndarray, operator: str, *, dequantised: bool = False, **attributes: Any) -> Any:
    """Return a graph with one operator on these weights, as ONNX Runtime's quantiser writes it."""
    place = {"QLinearConv": 3, "QLinearMatMul": 3, "QGemm": 3}.get(operator, 1)
    inputs = [f"in{number}" for number in range(place)] + ["w"]
    nodes = []
    if dequantised:
        nodes.append(helper.make_node("DequantizeLinear", ["w", "scale", "zero"], ["dw"]))
        inputs[-1] = "dw"
    nodes.append(helper.make_node(operator, inputs, ["y"], name="layer", **attributes))
    return helper.make_graph(nodes, "g", [], [], initializer=[numpy_helper.from_array(weights, "w")])


@given(
    arrays(np.uint8, (5, 16), elements=st.integers(0, 255)),
    arrays(np.int8, (16,), elements=st.integers(-64, 64)),
)
def test_products_with_weights_of_seven_bits_are_never_clipped(
    activations: np.ndarray, weights: np.ndarray
) -> None:
    assert (vpmaddubsw(activations, weights) == activations.astype(np.int64) @ weights).all()


@given(arrays(np.int8, (3, 16), elements=st.integers(-127, 127)), st.randoms())
def test_the_bound_holds_for_every_order_of_the_weights(weights: np.ndarray, random: Any) -> None:
    worst = largest_pair_sum(graph_of(weights.T.copy(), "MatMulInteger"))
    assert worst is not None
    order = list(range(16))
    random.shuffle(order)
    for row in weights:
        shuffled = row[order]
        # The maximum of a pair: full activations where the weight has this sign, zero elsewhere.
        for sign in (1, -1):
            activations = np.where(np.sign(shuffled) == sign, 255, 0).astype(np.uint8)[None]
            exact = activations.astype(np.int64) @ shuffled
            if not worst.overflows:
                assert (vpmaddubsw(activations, shuffled) == exact).all()


@pytest.mark.parametrize(
    ("operator", "shape", "attributes"),
    [
        ("QLinearConv", (2, 4, 3, 3), {}),
        ("ConvInteger", (2, 4, 3, 3), {}),
        ("MatMulInteger", (8, 2), {}),
        ("QLinearMatMul", (8, 2), {}),
        ("DynamicQuantizeMatMul", (8, 2), {}),
        ("Gemm", (2, 8), {"transB": 1}),
        ("Gemm", (8, 2), {}),
        ("Conv", (2, 4, 1, 1), {}),
        ("MatMul", (8, 2), {}),
    ],
)
def test_overflow_of_two_weights_is_detected_in_every_operator(
    operator: str, shape: tuple[int, ...], attributes: dict[str, Any]
) -> None:
    channel = 1 if operator in {"MatMulInteger", "QLinearMatMul", "DynamicQuantizeMatMul", "MatMul"} else 0
    channel = 1 if operator == "Gemm" and not attributes else channel
    weights = np.full(shape, 3, np.int8)
    first = np.moveaxis(weights, channel, 0)  # a view: one row for each output
    first[0].flat[0] = -127
    first[1].flat[0] = 127  # of another output: they are never added
    dequantised = operator in {"Gemm", "Conv", "MatMul"}
    apart = largest_pair_sum(graph_of(weights, operator, dequantised=dequantised, **attributes))
    assert apart is not None
    assert (apart.value, apart.overflows, apart.layer) == (255 * 130, True, "layer")
    first[0].flat[0] = 120
    first[1].flat[0] = 125
    assert not largest_pair_sum(graph_of(weights, operator, dequantised=dequantised, **attributes)).overflows
    first[0].flat[1] = 9
    assert largest_pair_sum(graph_of(weights, operator, dequantised=dequantised, **attributes)).overflows


def test_a_graph_without_signed_weights_of_eight_bits_has_no_bound() -> None:
    assert largest_pair_sum(graph_of(np.full((4, 4), 200, np.uint8), "MatMulInteger")) is None
    assert largest_pair_sum(graph_of(np.ones((4, 4), np.float32), "MatMul")) is None
    assert largest_pair_sum(helper.make_graph([], "g", [], [])) is None
    empty = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    node = helper.make_node("MatMulInteger", ["x", "y"], ["z"])
    assert largest_pair_sum(helper.make_graph([node], "g", [empty], [])) is None


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def test_the_bundled_encoder_in_8_bits_cannot_overflow(cache: Path) -> None:
    tower = load_encoder("pocket+int8", cache_dir=cache).tower
    assert tower is not None
    worst = largest_pair_sum(onnx.load(tower.file).graph)
    assert worst is not None
    assert 0 < worst.value <= LIMIT
    assert tower.cosine_min > 0.95


def test_variant_that_can_overflow_is_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from onnxruntime import quantization

    real = quantization.quantize_dynamic
    monkeypatch.setattr(
        quantization, "quantize_dynamic", lambda *a, **k: real(*a, **k | {"reduce_range": False})
    )
    with pytest.raises(EncoderError) as caught:
        load_encoder(f"local-dir:{folder}+int8", cache_dir=tmp_path)
    assert caught.value.code == "variant_overflows"
    assert not list(tmp_path.rglob("*.onnx"))


def test_cached_file_is_compared_again_on_this_machine(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"local-dir:{folder}+int8"
    load_encoder(name, cache_dir=cache)
    real = onnx_tower._session

    class Clipping:
        """A session on a processor that computes other values with the same file."""

        def __init__(self, file: Path) -> None:
            self._real = real(file)

        def run(self, *inputs: Any) -> list[np.ndarray]:
            vectors = self._real.run(*inputs)[0]
            return [vectors[:, ::-1].copy()]

    monkeypatch.setattr(onnx_tower, "_session", Clipping)
    with pytest.raises(EncoderError) as caught:
        load_encoder(name, cache_dir=cache)
    assert caught.value.code == "variant_differs"
    monkeypatch.setattr(onnx_tower, "_session", real)
    assert load_encoder(name, cache_dir=cache).precision == "int8", (
        "the file is kept, because it is not damaged"
    )


@pytest.mark.skipif(not shutil.which("qemu-x86_64"), reason="needs qemu-user: a processor without VNNI")
def test_a_processor_without_vnni_computes_the_same_vectors(cache: Path, tmp_path: Path) -> None:
    """ONNX Runtime itself on an emulated Haswell. Weights of 8 bits gave cosines of 0.47."""
    tower = load_encoder("pocket+int8", cache_dir=cache).tower
    assert tower is not None
    pixels = probe_images(2, 128, seed=3)
    np.save(tmp_path / "in.npy", pixels)
    code = (
        "import sys, numpy, onnxruntime as o; "
        "s = o.InferenceSession(sys.argv[1], providers=['CPUExecutionProvider']);"
        "numpy.save(sys.argv[3], s.run(None, {'pixels': numpy.load(sys.argv[2])})[0])"
    )
    command = ["qemu-x86_64", "-cpu", "Haswell", sys.executable, "-c", code, str(tower.file)]
    subprocess.run(
        [*command, str(tmp_path / "in.npy"), str(tmp_path / "out.npy")], check=True, capture_output=True
    )
    cosines = (np.load(tmp_path / "out.npy") * tower(pixels)).sum(1)
    assert cosines.min() > 0.995
