"""Image Analysis as the service answers and refuses."""

import json

import pytest

from pipeline.emulator.analysis.answers import Analysis, analyse
from pipeline.emulator.wire.errors import Rejected
from pipeline.images import hash_bytes
from tests.helpers.pictures import encoded, photo

PICTURE = encoded(photo(640, 480))
QUERY = {"api-version": "2024-02-01", "features": "read,objects"}


def asked(body: bytes = PICTURE, content_type: str = "application/octet-stream", **query: str) -> dict[str, object]:
    answer: dict[str, object] = json.loads(analyse(Analysis(QUERY | query, content_type, body)))
    return answer


def test_what_it_sees_is_told_apart_by_the_pictures_mark() -> None:
    seen = asked()
    [block] = seen["readResult"]["blocks"]
    [line] = block["lines"]
    assert line["text"] == "marked " + hash_bytes(PICTURE).partition(":")[2][:12]
    assert " ".join(word["text"] for word in line["words"]) == line["text"]
    assert seen["metadata"] == {"width": 640, "height": 480}
    assert seen["objectsResult"]["values"][0]["boundingBox"] == {"x": 160, "y": 60, "w": 320, "h": 240}


def test_only_what_is_asked_for_is_answered() -> None:
    assert "objectsResult" not in asked(features="read")
    assert "readResult" not in asked(features="objects")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"features": ""}, "Either 'features' or 'model-name'"),
        ({"features": "read,text"}, "Analyze query is invalid"),
        ({"features": "caption"}, "leave out 'caption'"),
        ({"body": b""}, "zero or larger than 20971520"),
        ({"body": b"no picture"}, "Image format is not valid"),
        ({"body": PICTURE[:-100]}, "Image format is not valid"),
        ({"body": encoded(photo(50, 300))}, "smaller than 50"),
        ({"content_type": "application/json", "body": b'{"url": "https://x"}'}, "badly formatted or not accessible"),
        ({"content_type": "text/plain"}, "content type text/plain is not supported"),
    ],
)
def test_refusals_are_in_the_services_words(change: dict[str, object], words: str) -> None:
    with pytest.raises(Rejected) as rejected:
        asked(**change)
    error = json.loads(rejected.value.error.body())["error"]
    assert (rejected.value.error.status, error["code"]) == (400, "InvalidRequest")
    assert words in error["message"]


def test_a_wrong_feature_is_named_one_level_deeper() -> None:
    with pytest.raises(Rejected) as rejected:
        asked(features="text")
    inner = json.loads(rejected.value.error.body())["error"]["innererror"]
    assert inner["code"] == "NotSupportedVisualFeature"


def test_an_unknown_version_is_not_there() -> None:
    with pytest.raises(Rejected) as rejected:
        asked(**{"api-version": "2022-01-01"})
    assert rejected.value.error.status == 404
