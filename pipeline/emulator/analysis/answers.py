"""One call of Image Analysis: what is refused, in the service's own words, and what was "seen". Pure.

It sees in every picture what the chat endpoint's answer says of it: the picture, and the mark that stands for it. So
what was found can be told from an answer, and its place in the answer is known.

Words of errors: how-to "Call the Image Analysis 4.0 Analyze API", error codes. Shapes: TypeSpec of the service.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from pipeline.emulator.wire.errors import NO_SUCH_RESOURCE, Rejected, WireError
from pipeline.emulator.wire.question import DIGEST_DIGITS
from pipeline.errors import ImageError
from pipeline.images import hash_bytes
from pipeline.images.probe import is_complete, probe

PATH = "/computervision/imageanalysis:analyze"
VERSIONS = ("2023-02-01-preview", "2023-04-01-preview", "2023-10-01", "2024-02-01")
FEATURES = ("tags", "objects", "caption", "denseCaptions", "read", "smartCrops", "people")
FORMATS = ("jpeg", "png", "gif", "bmp", "webp", "tiff")
MOST_BYTES = 20_971_520
SIDES_PX = range(51, 16_000)
MODEL_VERSION = "2023-10-01"

JsonObject = dict[str, object]
Box = tuple[int, int, int, int]
"""Left, top, width, height in pixels."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """A call as it came."""

    query: Mapping[str, str]
    content_type: str
    body: bytes


def analyse(call: Analysis) -> bytes:
    """The answer. Rejected with the service's error."""
    if call.query.get("api-version") not in VERSIONS:
        raise Rejected(NO_SUCH_RESOURCE)
    features = _features(call.query.get("features"))
    _check_content(call)
    try:
        header = probe(call.body)
    except ImageError:
        _refuse_format()
    if header.format not in FORMATS or not is_complete(header.format, call.body):
        _refuse_format()
    if header.width not in SIDES_PX or header.height not in SIDES_PX:
        reject("The image dimension is not allowed to be smaller than 50 and larger than 16000.")
    mark = hash_bytes(call.body).partition(":")[2][:DIGEST_DIGITS]
    seen: JsonObject = {
        "modelVersion": MODEL_VERSION,
        "metadata": {"width": header.width, "height": header.height},
    }
    if "read" in features:
        seen["readResult"] = {"blocks": [{"lines": [_line(f"marked {mark}", header.width, header.height)]}]}
    if "objects" in features:
        x, y, w, h = header.width // 4, header.height // 8, header.width // 2, header.height // 2
        tags = [{"name": "picture", "confidence": 0.875}]
        seen["objectsResult"] = {"values": [{"boundingBox": {"x": x, "y": y, "w": w, "h": h}, "tags": tags}]}
    return json.dumps(seen, separators=(",", ":")).encode()


def reject(message: str, inner: tuple[str, str] | None = None) -> NoReturn:
    """400 of the service; `inner`: code and message of the error within."""
    raise Rejected(WireError(400, message, code="InvalidRequest", azure_gateway=True, inner=inner))


def _features(given: str | None) -> Sequence[str]:
    if not given:
        reject("Either 'features' or 'model-name' needs to be specified in the query parameter.")
    wanted = [name.strip() for name in given.split(",")]
    known = {name.lower() for name in FEATURES}
    if any(name.lower() not in known for name in wanted):
        reject("Analyze query is invalid.", ("NotSupportedVisualFeature", "Specified feature type is not valid"))
    if refused := [name for name in wanted if name.lower() not in ("read", "objects")]:
        reject(f"The emulator finds text and objects; leave out '{refused[0]}'.")
    return [name.lower() for name in wanted]


def _check_content(call: Analysis) -> None:
    if call.content_type == "application/json":
        reject("Image URL is badly formatted or not accessible.")  # it fetches nothing
    if call.content_type not in ("application/octet-stream", *(f"image/{kind}" for kind in FORMATS)):
        reject(f"The provided image content type {call.content_type} is not supported.")
    if not 0 < len(call.body) <= MOST_BYTES:
        reject(f"The image size is not allowed to be zero or larger than {MOST_BYTES} bytes.")


def _refuse_format() -> NoReturn:
    reject("Image format is not valid.", ("InvalidImageFormat", "Image format is not valid."))


def _line(text: str, width: int, height: int) -> JsonObject:
    """A line of text over the lower quarter, its words side by side."""
    left, top, wide, high = width // 8, height * 3 // 4, width * 3 // 4, height // 8
    each = wide / len(text)
    words, at = [], 0
    for word in text.split(" "):
        box = (left + round(at * each), top, round(len(word) * each), high)
        words.append({"text": word, "boundingPolygon": _polygon(box), "confidence": 0.98})
        at += len(word) + 1
    return {"text": text, "boundingPolygon": _polygon((left, top, wide, high)), "words": words}


def _polygon(box: Box) -> list[dict[str, int]]:
    x, y, w, h = box
    return [{"x": x, "y": y}, {"x": x + w, "y": y}, {"x": x + w, "y": y + h}, {"x": x, "y": y + h}]
