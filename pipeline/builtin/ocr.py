"""Reads text in pictures with RapidOCR where the extra `ocr` is installed. The only file that knows RapidOCR."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEAST_SCORE = 0.85
LEAST_ALPHANUMERICS = 3
"""Under either, what it reads on photographs without text is mostly junk ("0000", "***")."""

Reader = Callable[[NDArray[np.uint8]], tuple[str, ...]]
"""Pixels (height, width, 3) to the lines of text in them."""


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

    def read(pixels: NDArray[np.uint8]) -> tuple[str, ...]:
        if not hasattr(engines, "engine"):
            engines.engine = rapidocr.RapidOCR(params=params)
        result: Any = engines.engine(np.ascontiguousarray(pixels[:, :, ::-1]))
        return legible(result.txts or (), result.scores or ())

    return read


def legible(lines: tuple[str, ...], scores: tuple[float, ...]) -> tuple[str, ...]:
    """Those of the lines that are probably text."""
    return tuple(
        line.strip()
        for line, score in zip(lines, scores, strict=True)
        if score >= LEAST_SCORE and sum(map(str.isalnum, line)) >= LEAST_ALPHANUMERICS
    )
