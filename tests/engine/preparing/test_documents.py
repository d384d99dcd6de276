import json
from dataclasses import replace

from pipeline.api.options import ModelOptions
from pipeline.engine.preparing.documents import Documents
from pipeline.items import Failure, Request, SourceImage, Unprepared
from pipeline.models import find_model

OPTIONS = ModelOptions(name="azure:gpt-4-vision-preview", video_index="videos")
DOCUMENTS = Documents(OPTIONS, find_model("azure:gpt-4-vision-preview"))
URL = "https://acme.example/a.mp4"
VIDEO = SourceImage("one", URL, "etag", 7, address=f"{URL}?sig=SECRET", duration=30.0)


async def test_a_video_is_asked_about_without_being_read() -> None:
    [request] = await DOCUMENTS.prepare([VIDEO])
    assert isinstance(request, Request)
    assert (request.probe, request.content_hash, request.original_bytes, request.sent.bytes) == (None, None, 7, 0)
    # 10 tokens of prompt and 7 of frame; 20 frames of 85; a transcript of 100, as the pricing example has it.
    assert (request.predicted_image_tokens, request.predicted_prompt_tokens) == (1700, 17 + 1700 + 100)
    assert b"?sig=SECRET" in request.body
    assert await DOCUMENTS.remake(request) is None


async def test_a_prompt_of_its_own_counts() -> None:
    [request] = await DOCUMENTS.prepare([replace(VIDEO, prompt="Who speaks, and what about? Name all of them.")])
    assert isinstance(request, Request)
    assert request.predicted_prompt_tokens == 19 + 1700 + 100
    assert json.dumps("Who speaks, and what about? Name all of them.").encode() in request.body


async def test_what_failed_already_is_its_row() -> None:
    [found] = await DOCUMENTS.prepare([replace(VIDEO, failure=Failure("invalid_row", "No id."))])
    assert isinstance(found, Unprepared)
    assert found.failure.reason == "invalid_row"
