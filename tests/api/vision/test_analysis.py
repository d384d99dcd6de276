"""What an answer of Image Analysis means: the guide's own, and whatever else a server may send."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from pipeline.api.client import Response
from pipeline.api.vision.analysis import Sight, read_analysis
from pipeline.items import Failure, Found


def read(document: object, status: int = 200) -> Sight | Failure:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return read_analysis(Response(status, CIMultiDict({"apim-request-id": "r-1"}), body))


def corners(*points: tuple[int, int]) -> list[dict[str, int]]:
    return [{"x": x, "y": y} for x, y in points]


LINE = {
    "text": "9:35 AM",
    "boundingPolygon": corners((131, 130), (214, 130), (214, 148), (131, 148)),
    "words": [{"text": "9:35", "boundingPolygon": corners((132, 130), (172, 131), (171, 149), (131, 148))}],
}
GUIDE: dict[str, Any] = {
    "modelVersion": "2023-10-01",
    "metadata": {"width": 1038, "height": 692},
    "readResult": {"blocks": [{"lines": [LINE]}]},
    "objectsResult": {
        "values": [
            {"boundingBox": {"x": 603, "y": 225, "w": 152, "h": 224}, "tags": [{"name": "chair", "confidence": 0.618}]}
        ]
    },
}
"""Of the quickstart and of the service's example."""


def test_the_guides_answer() -> None:
    seen = read(GUIDE)
    assert isinstance(seen, Sight)
    assert (seen.model_returned, seen.request_id, seen.usage.prompt_tokens) == ("2023-10-01", "r-1", 0)
    text, thing = seen.found
    assert text == Found("text", "9:35 AM", tuple((x / 1038, y / 692) for x, y in
                                                  ((131, 130), (214, 130), (214, 148), (131, 148))))  # fmt: skip
    assert (thing.kind, thing.text) == ("object", "chair")
    assert thing.polygon[0] == (603 / 1038, 225 / 692)
    assert thing.polygon[2] == (755 / 1038, 449 / 692)


def test_a_picture_without_anything_in_it() -> None:
    nothing = {"metadata": GUIDE["metadata"], "readResult": {"blocks": []}, "objectsResult": {"values": []}}
    assert read(nothing).found == ()


@pytest.mark.parametrize(
    ("status", "error", "reason", "words"),
    [
        (
            400,
            {
                "code": "InvalidRequest",
                "message": "Analyze query is invalid.",
                "innererror": {"code": "NotSupportedVisualFeature", "message": "Specified feature type is not valid"},
            },
            "rejected:invalidrequest",
            "Specified feature type is not valid",
        ),
        (
            401,
            {"code": "401", "message": "Access denied due to invalid subscription key"},
            "credentials_refused",
            "key",
        ),
        (429, {"code": "429", "message": "Please retry after 40 seconds."}, "rate_limited", "40 seconds"),
        (500, {"code": "InternalServerError", "message": "x"}, "server_error", "x"),
    ],
)
def test_errors_are_read_by_the_rule_for_all(status: int, error: dict[str, Any], reason: str, words: str) -> None:
    failure = read({"error": error}, status)
    assert isinstance(failure, Failure)
    assert failure.reason == reason
    assert words in failure.message
    if status == 429:
        assert failure.retry_after == 40


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"choices": [{"message": {"content": "a cat"}}]}'])
def test_a_200_that_is_no_analysis_is_a_fault_of_the_server(body: bytes) -> None:
    failure = read(body)
    assert isinstance(failure, Failure)
    assert failure.reason == "server_error"


KEYS = ["metadata", "width", "height", "readResult", "blocks", "lines", "text", "boundingPolygon", "x", "y", "tags",
        "objectsResult", "values", "boundingBox", "w", "h", "name", "error", "innererror", "message"]  # fmt: skip
ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=30,
)


@given(ODD, st.sampled_from([200, 204, 400, 401, 404, 429, 500]))
def test_nothing_that_a_server_sends_raises_or_leaves_the_picture(document: object, status: int) -> None:
    body = json.dumps(document).encode()
    seen = read(body, status)
    if isinstance(seen, Sight):
        assert all(0 <= side <= 1 for found in seen.found for point in found.polygon for side in point)
