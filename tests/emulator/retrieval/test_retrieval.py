"""The retrieval service over real HTTP, as the reference and the how-to describe it."""

import aiohttp
import pytest

from pipeline.emulator.app import Running
from pipeline.emulator.options import EmulatorOptions
from tests.helpers.clock import FakeClock
from tests.helpers.servers import emulate
from tests.helpers.video_web import VIDEOS
from tests.helpers.web_server import serve

BASE = "/computervision/retrieval/indexes"
# The guide's own bodies, as JSON.
INDEX = {
    "metadataSchema": {
        "fields": [
            {"name": "cameraId", "searchable": False, "filterable": True, "type": "string"},
            {"name": "timestamp", "searchable": False, "filterable": True, "type": "datetime"},
        ]
    },
    "features": [{"name": "vision", "domain": "surveillance"}, {"name": "speech"}],
}


async def ask(running: Running, method: str, path: str, body: object = None, **headers: str):
    mark = "&" if "?" in path else "?"
    url = f"{running.endpoint}{BASE}{path}{mark}api-version=2023-05-01-preview"
    async with aiohttp.ClientSession() as session, session.request(method, url, json=body, headers=headers) as response:
        return response.status, await response.json() if response.content_length else None


def video(id_: str, url: str, **metadata: str):
    return {"mode": "add", "documentId": id_, "documentUrl": url, "metadata": metadata}


async def test_the_guides_steps() -> None:
    clock = FakeClock()
    async with emulate(EmulatorOptions(ingestion_seconds=60), clock) as running, serve(VIDEOS) as web:
        status, index = await ask(running, "PUT", "/my-video-index", INDEX)
        assert status == 201
        assert [field["name"] for field in index["metadataSchema"]["fields"]] == ["cameraid", "timestamp"]
        assert index["features"][0] == {"name": "vision", "modelVersion": "2023-05-31", "domain": "surveillance"}
        videos = [
            video("one", f"{web.url}a.mp4?sig=x", cameraId="camera1", timestamp="2023-06-30 17:40:33"),
            video("two", f"{web.url}b.webm", cameraId="camera2"),
        ]
        status, begun = await ask(running, "PUT", "/my-video-index/ingestions/my-ingestion", {"videos": videos})
        assert (status, begun["name"], begun["state"]) == (202, "my-ingestion", "Running")
        _, listed = await ask(running, "GET", "/my-video-index/ingestions?$top=20")
        assert listed["value"][0]["state"] == "Running"
        assert (await ask(running, "GET", "/my-video-index/documents"))[1] == {"value": []}
        await clock.advance(60)
        _, listed = await ask(running, "GET", "/my-video-index/ingestions?$top=20")
        assert listed["value"][0]["state"] == "Completed"
        _, documents = await ask(running, "GET", "/my-video-index/documents")
        assert [document["documentUrl"] for document in documents["value"]] == [f"{web.url}a.mp4", f"{web.url}b.webm"]
        query = {
            "queryText": "a man with black hoodie",
            "filters": {
                "stringFilters": [{"fieldName": "cameraId", "values": ["camera1"]}],
                "featureFilters": ["vision"],
            },
        }
        _, found = await ask(running, "POST", "/my-video-index:queryByText", query)
        assert {(match["documentId"], match["documentKind"]) for match in found["value"]} == {("one", "VideoFrame")}
        times = {
            "queryText": "leave",
            "filters": {"datetimeFilters": [{"fieldName": "timestamp", "startTime": "2023-06"}]},
        }
        _, found = await ask(running, "POST", "/my-video-index:queryByText", times)
        assert {match["documentId"] for match in found["value"]} == {"one"}
        assert (await ask(running, "DELETE", "/my-video-index"))[0] == 204
        assert (await ask(running, "GET", "/my-video-index"))[0] == 404


async def test_videos_that_cannot_be_read() -> None:
    clock = FakeClock()
    async with emulate(EmulatorOptions(), clock) as running, serve(VIDEOS) as web:
        await ask(running, "PUT", "/videos", {})
        for name, videos, state in (
            ("all", [video("1", f"{web.url}403")], "Failed"),
            ("some", [video("2", f"{web.url}text.mp4"), video("3", f"{web.url}a.mp4")], "PartiallySucceeded"),
        ):
            await ask(running, "PUT", f"/videos/ingestions/{name}", {"videos": videos})
            for _ in range(200):
                _, ingestion = await ask(running, "GET", f"/videos/ingestions/{name}?detailLevel=verbose")
                if ingestion["state"] != "Running":
                    break
            assert ingestion["state"] == state
            assert ingestion["fileStatusDetails"][0]["succeeded"] is False
        _, documents = await ask(running, "GET", "/videos/documents")
        assert [document.get("error", {}).get("message") for document in documents["value"]] == [
            "The document URL cannot be accessed: 403.",
            "The video format is not supported.",
            None,
        ]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", "/a--b", {}, 400),
        ("PUT", "/" + "a" * 25, {}, 400),
        ("PUT", "/videos", {}, 409),
        ("PUT", "/new", {"feature": []}, 400),
        ("PUT", "/new", {"features": [{"name": "smell"}]}, 400),
        ("PUT", "/new", {"metadataSchema": {"fields": [{"name": "a", "type": "string"}]}}, 400),
        ("PUT", "/new", [], 400),
        ("GET", "/new", None, 404),
        ("PUT", "/new/ingestions/i", {"videos": [video("1", "http://127.0.0.1:1/a.mp4")]}, 404),
        ("PUT", "/videos/ingestions/i", {"videos": []}, 400),
        ("PUT", "/videos/ingestions/i", {"videos": [video("1", "az://a/b.mp4")]}, 400),
        ("PUT", "/videos/ingestions/i", {"videos": [video("1", "http://127.0.0.1:1/a.mp4", place="x")]}, 400),
        ("PUT", "/videos/ingestions/i", {"videos": [video("1", "http://127.0.0.1:1/a.mp4")] * 2}, 400),
        ("PUT", "/videos/ingestions/i", {"video": []}, 400),
        ("GET", "/videos/ingestions/i", None, 404),
        ("GET", "/videos/documents?$top=0", None, 400),
        ("POST", "/videos:queryByText", {"queryText": ""}, 400),
        ("POST", "/videos:queryByText", {"queryText": "a", "filters": {"stringFilters": [{"fieldName": "x"}]}}, 400),
    ],
)
async def test_what_is_wrong_is_refused(emulator: Running, method: str, path: str, body: object, status: int) -> None:
    await ask(emulator, "PUT", "/videos", {})
    answered, document = await ask(emulator, method, path, body)
    assert answered == status
    assert set(document["error"]) == {"code", "message"}


async def test_keys_versions_and_pages() -> None:
    async with emulate(EmulatorOptions(api_key="right")) as running:
        assert (await ask(running, "GET", ""))[0] == 401
        assert (await ask(running, "GET", "", **{"Ocp-Apim-Subscription-Key": "wrong"}))[0] == 401
        key = {"Ocp-Apim-Subscription-Key": "right"}
        async with aiohttp.ClientSession(headers=key) as session, session.get(f"{running.endpoint}{BASE}") as response:
            assert response.status == 400
        for number in range(3):
            await ask(running, "PUT", f"/index{number}", {}, **key)
        _, page = await ask(running, "GET", "?$top=2", **key)
        assert len(page["value"]) == 2
        async with aiohttp.ClientSession(headers=key) as session, session.get(page["nextLink"]) as response:
            rest = await response.json()
        assert ([index["name"] for index in rest["value"]], "nextLink" in rest) == (["index2"], False)


async def test_a_changed_index(emulator: Running) -> None:
    _, made = await ask(emulator, "PUT", "/videos", INDEX)
    _, changed = await ask(emulator, "PATCH", "/videos", {"userData": {"owner": "me"}})
    assert changed["userData"] == {"owner": "me"}
    assert changed["metadataSchema"] == made["metadataSchema"]
    assert (await ask(emulator, "PATCH", "/other", {}))[0] == 404
