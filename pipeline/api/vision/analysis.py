"""Image Analysis 4.0 on the wire: the call, and what its answer found. Pure; never raises on what a server sends.

`POST {endpoint}/computervision/imageanalysis:analyze?api-version=2024-02-01&features=read,objects`, the image as it is
(`application/octet-stream`), key in a header (how-to "Call the Image Analysis 4.0 Analyze API", REST; TypeSpec
specification/ai/ImageAnalysis). Places come in pixels of the image that was sent.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from pipeline.api.client import Response
from pipeline.api.endpoint import Endpoint
from pipeline.api.reading.replies import REQUEST_ID_HEADERS, read_response
from pipeline.api.reading.text import as_dict, as_dicts, as_number, parse_json, read_text
from pipeline.api.vision.resource import VisionResource
from pipeline.items import Failure, Found, Reply, Usage, message
from pipeline.texts import one_line

API_VERSION = "2024-02-01"
FEATURES: Mapping[str, str] = {"ocr": "read", "grounding": "objects"}
LEAST_SIDE_PX = 51
"""Sides must be greater than 50 pixels, and less than 16,000 (Image Analysis overview, input requirements)."""


@message
class Sight(Reply):
    """What was found in a picture. No caption, and no tokens are counted."""

    found: tuple[Found, ...] = ()


def analysis_endpoint(vision: VisionResource, enhance: Iterable[str]) -> Endpoint:
    """Where it is asked for what `enhance` names."""
    features = ",".join(FEATURES[name] for name in enhance)
    url = f"{vision.endpoint}/computervision/imageanalysis:analyze?api-version={API_VERSION}&features={features}"
    cloud = None if vision.key else vision.cloud
    return Endpoint(
        "azure-vision", url, vision.endpoint, vision.headers, None, cloud=cloud, content_type="application/octet-stream"
    )


def read_analysis(response: Response) -> Sight | Failure:
    """What an answer found: lines of text as they are read, then objects."""
    document = parse_json(response.body)
    if response.status != 200 or not isinstance(document, dict) or "metadata" not in document:
        return _failure(response, as_dict(as_dict(as_dict(document).get("error")).get("innererror")))
    metadata = as_dict(document["metadata"])
    width, height = as_number(metadata.get("width")), as_number(metadata.get("height"))
    request_id = next(
        (one_line(response.headers[name]) for name in REQUEST_ID_HEADERS if name in response.headers), None
    )
    found = (*_lines(document), *_objects(document))
    return Sight(
        "",
        Usage(prompt_tokens=0, completion_tokens=0),
        model_returned=read_text(document.get("modelVersion")),
        request_id=request_id,
        found=tuple(_scaled(each, width, height) for each in found if each.polygon) if width and height else (),
    )


def _failure(response: Response, inner: Mapping[str, Any]) -> Failure:
    """By the rule for every endpoint; what exactly is wrong stands one level deeper here."""
    failure = read_response(response.status, response.headers, response.body)
    if isinstance(failure, Reply):
        return Failure("server_error", "It answered 200 with something else than an analysis.", http_status=200)
    told = read_text(inner.get("message"))
    return replace(failure, message=f"{failure.message} {one_line(told)}") if told else failure


def _lines(document: Mapping[str, Any]) -> Iterator[Found]:
    for block in as_dicts(as_dict(document.get("readResult")).get("blocks")):
        for line in as_dicts(block.get("lines")):
            if text := read_text(line.get("text")):
                yield Found("text", text, tuple(_corners(as_dicts(line.get("boundingPolygon")))))


def _objects(document: Mapping[str, Any]) -> Iterator[Found]:
    for entry in as_dicts(as_dict(document.get("objectsResult")).get("values")):
        tags = as_dicts(entry.get("tags"))
        name = read_text(tags[0].get("name")) if tags else None
        box = as_dict(entry.get("boundingBox"))
        x, y, w, h = (as_number(box.get(side)) for side in "xywh")
        if name and x is not None and y is not None and w is not None and h is not None:
            yield Found("object", name, ((x, y), (x + w, y), (x + w, y + h), (x, y + h)))


def _corners(points: Iterable[Mapping[str, Any]]) -> Iterator[tuple[float, float]]:
    for point in points:
        x, y = as_number(point.get("x")), as_number(point.get("y"))
        if x is not None and y is not None:
            yield x, y


def _scaled(found: Found, width: float, height: float) -> Found:
    """Its place as fractions of the picture's sides, on the picture."""
    polygon = tuple((min(max(x / width, 0.0), 1.0), min(max(y / height, 0.0), 1.0)) for x, y in found.polygon)
    return replace(found, polygon=polygon)
