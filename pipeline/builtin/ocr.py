"""Reads text in pictures with RapidOCR where the extra `ocr` is installed. The only file that knows RapidOCR."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import MissingExtra
from pipeline.images import decode_rgb
from pipeline.items import Found

LEAST_SCORE = 0.85
LEAST_ALPHANUMERICS = 3
"""Under either, what it reads on photographs without text is mostly junk ("0000", "***")."""

Reader = Callable[[NDArray[np.uint8]], tuple[Found, ...]]
"""Pixels (height, width, 3) to the lines of text in them."""


def load_text_finder() -> Callable[[bytes], tuple[Found, ...]]:
    """For encoded images; may be called from several threads. Raises MissingExtra without RapidOCR."""
    read = load_reader()
    if read is None:
        raise MissingExtra("Reading text in pictures on this machine (enhance by rapidocr)", "ocr")
    return lambda data: read(decode_rgb(data))


def load_reader() -> Reader | None:
    """None without RapidOCR. It reads with the models inside its wheel: nothing is downloaded, nothing is printed."""
    try:
        import rapidocr  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return None
    models = Path(rapidocr.__file__).parent / "models"
    detection, recognition = sorted(models.glob("*_det_*.onnx")), sorted(models.glob("*_rec_*.onnx"))
    if not detection or not recognition:
        return None
    params = {
        "Global.log_level": "critical",
        "Global.text_score": LEAST_SCORE,
        "Global.use_cls": False,
        "Det.model_path": str(detection[0]),
        "Rec.model_path": str(recognition[0]),
        "EngineConfig.onnxruntime.intra_op_num_threads": 1,
        "EngineConfig.onnxruntime.inter_op_num_threads": 1,
    }
    engines = threading.local()
    """An engine keeps the size of the picture it is at in itself, so each worker thread has its own."""

    def read(pixels: NDArray[np.uint8]) -> tuple[Found, ...]:
        if not hasattr(engines, "engine"):
            engines.engine = rapidocr.RapidOCR(params=params)
        result: Any = engines.engine(np.ascontiguousarray(pixels[:, :, ::-1]))
        height, width, _ = pixels.shape
        boxes = () if result.boxes is None else result.boxes
        polygons = [
            tuple((min(max(x / width, 0.0), 1.0), min(max(y / height, 0.0), 1.0)) for x, y in box.tolist())
            for box in boxes
        ]
        lines = zip(result.txts or (), result.scores or (), polygons, strict=True)
        return tuple(Found("text", text.strip(), polygon) for text, score, polygon in lines if is_legible(text, score))

    return read


def is_legible(line: str, score: float) -> bool:
    """Whether it is probably text."""
    return score >= LEAST_SCORE and sum(map(str.isalnum, line)) >= LEAST_ALPHANUMERICS
