"""The bundled networks: pixels in, probabilities and boxes out. The only file that imports onnxruntime.

The graphs shrink and normalise the picture themselves (see `convert/`). Sessions are shared by all worker threads:
`InferenceSession.run` is thread-safe, and one thread per session leaves the cores to the engine's own pool.
"""

from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import MissingExtra

if TYPE_CHECKING:
    from onnxruntime import InferenceSession  # type: ignore[import-untyped,import-not-found,unused-ignore]

Pixels = NDArray[np.uint8]
Floats = NDArray[np.floating]

DETECTOR_SIDE = 416
CROP = 260 / 292
"""Of the short side: what EfficientNet-Lite2 was shown of each picture when it was measured."""


@dataclass(frozen=True, slots=True)
class Detection:
    """One thing that the detector found."""

    kind: int
    """Position in COCO-80; `Vocabulary.detected` has its phrase."""
    score: float
    box: tuple[float, float, float, float]
    """Left, top, right, bottom as fractions 0..1 of the picture's sides."""

    @property
    def area(self) -> float:
        left, top, right, bottom = self.box
        return (right - left) * (bottom - top)


@dataclass(frozen=True, slots=True)
class Networks:
    """Two classifiers that see the picture differently, and a detector."""

    whole: "InferenceSession"
    centre: "InferenceSession"
    detector: "InferenceSession"

    def classify(self, pixels: Pixels) -> Floats:
        """(1000,) probabilities of ImageNet-1k: the mean over the whole picture, squeezed square, and its centre.

        What only one of the two sees falls below the thresholds; on one picture of each class the mean names 92.5 %
        right, the two alone 87 and 91 %.
        """
        return (_probabilities(self.whole, pixels) + _probabilities(self.centre, _centre(pixels))) / 2

    def detect(self, pixels: Pixels) -> tuple[Detection, ...]:
        """Things found with a score over 0.4, best first."""
        boxes, scores, found = self.detector.run(["boxes", "scores", "found"], {"pixels": pixels})
        height, width, _ = pixels.shape
        frame = np.array([width, height, width, height]) * (DETECTOR_SIDE / max(width, height))
        detections = []
        for _, kind, index in found:
            box = ((boxes[0, index] - DETECTOR_SIDE / 2) / frame + 0.5).clip(0, 1)
            detections.append(Detection(int(kind), float(scores[0, kind, index]), tuple(box.tolist())))
        return tuple(sorted(detections, key=lambda detection: -detection.score))


def load_networks() -> Networks:
    """Reads 15 MB. Raises MissingExtra without onnxruntime."""
    try:
        from onnxruntime import InferenceSession, SessionOptions
    except ImportError:
        raise MissingExtra("The offline describer builtin:describe", "builtin") from None
    options = SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    folder = files("pipeline.builtin").joinpath("weights")

    def load(name: str) -> "InferenceSession":
        return InferenceSession(folder.joinpath(name).read_bytes(), options, providers=["CPUExecutionProvider"])

    return Networks(load("efficientnet-lite0.onnx"), load("efficientnet-lite2.onnx"), load("nanodet-g.onnx"))


def _probabilities(classifier: "InferenceSession", pixels: Pixels) -> Floats:
    probabilities: Floats = classifier.run(["probabilities"], {"pixels": pixels})[0][0]
    return probabilities


def _centre(pixels: Pixels) -> Pixels:
    """The middle square."""
    height, width, _ = pixels.shape
    side = max(1, int(min(height, width) * CROP))
    top, left = (height - side) // 2, (width - side) // 2
    return np.ascontiguousarray(pixels[top : top + side, left : left + side])
