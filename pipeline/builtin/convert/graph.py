"""A small writer of ONNX graphs: names the tensors, keeps nodes and weights, and stores weights small.

The networks take the picture as it is, `pixels` uint8 (height, width, 3), and shrink it themselves: ONNX's antialiased
Resize gives what Pillow's gives (mean difference 0.01 of 255), so no resampling code of ours has to.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx  # type: ignore[import-not-found,unused-ignore]
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper  # type: ignore[import-not-found,unused-ignore]

FLOAT = int(TensorProto.FLOAT)
INT64 = int(TensorProto.INT64)
OPSET = 18
"""The first whose Resize can antialias."""
SMALL_KERNEL = 27
"""Numbers for each output channel: 3 x 3 of the three colours, or 5 x 5 of one channel."""


class Graph:
    """Nodes and weights in the order of their making. Tensors are known by name."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self.outputs: list[Any] = []

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Append a node with one output and return the output's name."""
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], **attributes))
        return name

    def split(self, x: str, sizes: list[int]) -> list[str]:
        """Cut `x` (1, channels, ...) into parts of so many channels."""
        names = [f"t{len(self.nodes)}_{part}" for part in range(len(sizes))]
        self.nodes.append(helper.make_node("Split", [x, self.constant(sizes)], names, axis=1))
        return names

    def constant(self, array: NDArray[Any] | float | list[int] | list[float]) -> str:
        """A tensor stored as it is: float32 for floats, int64 for integers."""
        array = np.asarray(array)
        array = array.astype(np.float32 if array.dtype.kind == "f" else np.int64)
        return self._store(array)

    def kernel(self, array: NDArray[Any]) -> str:
        """A convolution's or dense layer's weights (out, ...), as int8 with a float32 scale for each output channel.

        The runtime multiplies them out once when it loads the file, so they cost a quarter of the disk and no speed.
        Small kernels (stem, depthwise) would gain little and lose most: those stay, as float16.
        """
        array = array.astype(np.float32)
        if array[0].size <= SMALL_KERNEL:
            return self.add("Cast", self._store(array.astype(np.float16)), to=FLOAT)
        scale = np.abs(array).max(axis=tuple(range(1, array.ndim)), keepdims=True) / 127
        scale[scale == 0] = 1
        whole = np.round(array / scale).astype(np.int8)
        return self.add("Mul", self.add("Cast", self._store(whole), to=FLOAT), self._store(scale))

    def _store(self, array: NDArray[Any]) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def output(self, tensor: str, name: str, dtype: int, shape: list[int | str]) -> None:
        """Let `tensor` be an output of the network, under `name`."""
        self.nodes.append(helper.make_node("Identity", [tensor], [name]))
        self.outputs.append(helper.make_tensor_value_info(name, dtype, shape))

    def save(self, path: Path, name: str) -> None:
        pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["height", "width", 3])
        graph = helper.make_graph(self.nodes, name, [pixels], self.outputs, self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
        onnx.checker.check_model(model)
        onnx.save(model, path)
