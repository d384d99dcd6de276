"""EfficientNet-Lite: from a checkpoint to ONNX.

Architecture: https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite (Apache-2.0). Lite has no
squeeze-and-excite, ReLU6 throughout, and a stem, head, first and last stage that do not grow with the network.
"""

from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.builtin.convert.graph import FLOAT, Graph

STAGES = [(1, 1), (2, 2), (2, 2), (3, 2), (3, 1), (4, 2), (1, 1)]
"""(blocks at depth 1.0, stride of the first block); channels and kernel sizes are read off the weights."""
EPSILON = 1e-3
MEAN = 127.0
DEVIATION = 128.0
"""Of the original training, not ImageNet's per-channel figures: with those, top-1 on one picture of each class falls
from 88 % to 77 %."""

Weights = dict[str, NDArray[Any]]


def convert_efficientnet(weights: Weights, depth: float, side: int, path: Path) -> None:
    """Write the classifier: `pixels` -> `probabilities` (1, 1000) in the order of ImageNet-1k.

    `depth` and `side` (pixels) are the published ones: Lite0 1.0 and 224, Lite2 1.2 and 260.
    """
    graph = Graph()
    x = graph.add("Transpose", "pixels", perm=[2, 0, 1])
    x = graph.add("Unsqueeze", x, graph.constant([0]))
    # Pillow's bicubic has a = -0.5; uint8 in, uint8 out, rounded and clipped as Pillow does
    size = graph.constant([side, side])
    x = graph.add("Resize", x, "", "", size, mode="cubic", cubic_coeff_a=-0.5, antialias=1, axes=[2, 3])
    x = graph.add("Cast", x, to=FLOAT)
    x = graph.add("Sub", x, graph.constant(MEAN))
    x = graph.add("Mul", x, graph.constant(1 / DEVIATION))

    x = _convolve(graph, weights, x, "_conv_stem", "_bn0", stride=2)
    block = 0
    for stage, (blocks, stride) in enumerate(STAGES):
        count = blocks if stage in (0, len(STAGES) - 1) else ceil(blocks * depth)
        for repeat in range(count):
            x = _block(graph, weights, x, f"_blocks.{block}.", stride if repeat == 0 else 1, skip=repeat > 0)
            block += 1
    if any(name.startswith(f"_blocks.{block}.") for name in weights):
        raise ValueError(f"the checkpoint has more than the {block} blocks of depth {depth}")
    x = _convolve(graph, weights, x, "_conv_head", "_bn1")
    x = graph.add("Flatten", graph.add("GlobalAveragePool", x))
    x = graph.add("Gemm", x, graph.kernel(weights["_fc.weight"]), graph.constant(weights["_fc.bias"]), transB=1)
    graph.output(graph.add("Softmax", x, axis=1), "probabilities", FLOAT, [1, 1000])
    graph.save(path, "efficientnet_lite")


def _block(graph: Graph, weights: Weights, x: str, prefix: str, stride: int, skip: bool) -> str:
    """An inverted residual: widen, filter each channel, project."""
    y = x
    if f"{prefix}_expand_conv.weight" in weights:
        y = _convolve(graph, weights, y, f"{prefix}_expand_conv", f"{prefix}_bn0")
    y = _convolve(graph, weights, y, f"{prefix}_depthwise_conv", f"{prefix}_bn1", stride=stride, depthwise=True)
    y = _convolve(graph, weights, y, f"{prefix}_project_conv", f"{prefix}_bn2", relu6=False)
    return graph.add("Add", x, y) if skip else y


def _convolve(
    graph: Graph,
    weights: Weights,
    x: str,
    convolution: str,
    norm: str,
    *,
    stride: int = 1,
    depthwise: bool = False,
    relu6: bool = True,
) -> str:
    """A convolution with its batch norm folded in."""
    gain = weights[f"{norm}.weight"] / np.sqrt(weights[f"{norm}.running_var"] + EPSILON)
    kernel = weights[f"{convolution}.weight"] * gain[:, None, None, None]
    bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * gain
    y = graph.add(
        "Conv",
        x,
        graph.kernel(kernel),
        graph.constant(bias),
        kernel_shape=list(kernel.shape[2:]),
        strides=[stride, stride],
        group=len(kernel) if depthwise else 1,
        auto_pad="SAME_UPPER",
    )
    return graph.add("Clip", y, graph.constant(0.0), graph.constant(6.0)) if relu6 else y
