"""Overflow check for the 8-bit products of a quantised network.

A processor with AVX2 or AVX-512 but without VNNI multiplies unsigned 8-bit activations by signed 8-bit
weights with `vpmaddubsw`: it adds two neighbouring products in a signed 16-bit number and clips the sum at
32,767. Processors with VNNI and ARM processors add in 32 bits and clip nothing. A network with products that
can be clipped therefore gives other vectors on the first kind of processor. Which two products are neighbours
depends on the kernel, so this bound holds for every pair: 255 · (largest + second largest weight of an output
channel) ≤ 32,767.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

LIMIT = 32_767  # the largest signed 16-bit number
_LARGEST_ACTIVATION = 255
# operator → (index of the input with the weights, axis of the output channel)
_PRODUCTS = {
    "Conv": (1, 0),
    "ConvInteger": (1, 0),
    "QLinearConv": (3, 0),
    "MatMul": (1, -1),
    "MatMulInteger": (1, -1),
    "QLinearMatMul": (3, -1),
    "DynamicQuantizeMatMul": (1, -1),
    "MatMulIntegerToFloat": (1, -1),
    "Gemm": (1, None),  # depends on the attribute transB
    "QGemm": (3, None),
}


@dataclass(frozen=True)
class PairSum:
    """The largest sum of two neighbouring products that a layer can reach for any image."""

    layer: str
    value: int

    @property
    def overflows(self) -> bool:
        """Return whether a processor without VNNI can clip the sum."""
        return self.value > LIMIT


def largest_pair_sum(graph: Any) -> PairSum | None:
    """Return the largest sum of all layers of an ONNX graph with signed 8-bit weights.

    Return None if there is no such layer.
    """
    from onnx import numpy_helper

    constants = {constant.name: constant for constant in graph.initializer}
    # A quantised weight reaches its operator directly, or through DequantiseLinear.
    source = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    sums: list[PairSum] = []
    for node in graph.node:
        if node.op_type not in _PRODUCTS:
            continue
        place, axis = _PRODUCTS[node.op_type]
        if len(node.input) <= place:
            continue
        name = node.input[place]
        tensor = constants.get(source.get(name, name))
        if tensor is None:
            continue
        weights = numpy_helper.to_array(tensor)
        if weights.dtype != np.int8 or weights.ndim < 2:
            continue
        if axis is None:
            axis = 0 if any(entry.name == "transB" and entry.i for entry in node.attribute) else -1
        sums.append(PairSum(node.name or node.output[0], _pair_sum(weights, axis)))
    return max(sums, key=lambda pair: pair.value, default=None)


def _pair_sum(weights: np.ndarray, axis: int) -> int:
    """Return 255 times the sum of the two largest absolute weights of the worst output channel."""
    sizes = np.abs(np.moveaxis(weights, axis, 0).astype(np.int64)).reshape(weights.shape[axis], -1)
    two = np.sort(sizes, axis=1)[:, -2:]
    return _LARGEST_ACTIVATION * int(two.sum(axis=1).max(initial=0))
