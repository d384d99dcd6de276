"""A question about a video of an index, as Azure's `/extensions/` path takes it: each variant of the guides, no other.
Pure.

Sources: how-to of 2024-02 (three kinds of data source); sentences of errors: azureai-samples #114, azure-docs #121051.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, cast

from pipeline.emulator.wire.enhancements import NAMES
from pipeline.emulator.wire.errors import Rejected, WireError

SOURCE = "AzureComputerVisionVideoIndex"
DOCUMENT = "acv_document_id"
NEEDS_SOURCE = f"The 'video' enhancement requires a data source of type '{SOURCE}'."
FRAMES = 20
FRAME_PX = 512
TRANSCRIPT_TOKENS = 100
"""Of a video; what the pricing example of the concepts page takes it to be. Nobody listens here."""


@dataclass(frozen=True, slots=True)
class VideoAsked:
    """Which video a question is about."""

    index: str
    document_id: str
    url: str | None
    """None: the service reads it in its own name."""
    key: str | None
    """Of the vision resource; None: the service is one itself."""


def wants_video(body: Mapping[str, object]) -> bool:
    """Whether the `video` enhancement is turned on."""
    enhancements = body.get("enhancements")
    video = enhancements.get("video") if isinstance(enhancements, dict) else None
    return isinstance(video, dict) and video.get("enabled") is True


def read_video(body: Mapping[str, object]) -> tuple[VideoAsked, dict[str, object]]:
    """The video, and the same question without it. Rejected (400) for a shape that no guide shows."""
    if set(cast("dict[str, object]", body["enhancements"])) != {"video"}:
        _reject("A video prompt has no other enhancement.", "enhancements")
    parameters = _parameters(body)
    index = parameters.get("indexName")
    if not isinstance(index, str) or not index:
        _reject("'indexName' is missing.", "dataSources")
    key = parameters.get("computerVisionApiKey")
    if key is not None and not isinstance(key, str):
        _reject("'computerVisionApiKey' is a string.", "dataSources")
    urls, kind = parameters.get("videoUrls"), parameters.get("documentAuthenticationKind")
    if (urls is None) == (kind is None):
        _reject("Give either 'videoUrls' or 'documentAuthenticationKind'.", "dataSources")
    if kind is not None and kind != "managedidentity":
        _reject("'documentAuthenticationKind' is 'managedidentity'.", "dataSources")
    if urls is not None and not _is_one_url(urls):
        _reject("'videoUrls' is a list of one URL.", "dataSources")
    id_, rest = _without_document(body)
    url = urls[0] if urls else None
    return VideoAsked(index, id_, url, key), rest


def sampling_failed(why: str, code: int) -> bytes:
    """What the service answers, with status 200, when it does not get at the frames."""
    told = f'Retrieving frames from your video\n{{"ErrorMessage":\'Video sampling\' failed: {why},"ErrorCode": {code}}}'
    return json.dumps({"choices": [{"messages": [{"delta": {"role": "tool", "content": told}}]}]}).encode()


def _parameters(body: Mapping[str, object]) -> dict[str, Any]:
    sources = body.get("dataSources", body.get("data_sources"))
    source = sources[0] if isinstance(sources, list) and len(sources) == 1 else None
    if not isinstance(source, dict) or source.get("type") != SOURCE or set(source) != {"type", "parameters"}:
        _reject(NEEDS_SOURCE, "dataSources")
    parameters = source["parameters"]
    if not isinstance(parameters, dict):
        _reject("'parameters' is an object.", "dataSources")
    names = set(parameters) - {"indexName", "videoUrls", "documentAuthenticationKind"}
    if names and names not in ({"computerVisionBaseUrl", "computerVisionApiKey"}, {"endpoint", "computerVisionApiKey"}):
        _reject(f"Unknown or missing parameters beside {', '.join(sorted(names))}.", "dataSources")
    base = parameters.get("computerVisionBaseUrl")
    if base is not None and not str(base).rstrip("/").endswith("/computervision"):
        _reject("'computerVisionBaseUrl' ends in /computervision.", "dataSources")
    if names and "documentAuthenticationKind" in parameters:
        _reject("A managed identity goes without 'computerVisionApiKey'.", "dataSources")
    return parameters


def _is_one_url(urls: object) -> bool:
    return (
        isinstance(urls, list)
        and len(urls) == 1
        and isinstance(urls[0], str)
        and urls[0].startswith(("http://", "https://"))
    )


def _without_document(body: Mapping[str, object]) -> tuple[str, dict[str, object]]:
    """The one document, which stands before the text of its message."""
    found: list[str] = []
    messages: list[object] = []
    listed = body.get("messages")
    for message in listed if isinstance(listed, list) else []:
        content = message.get("content") if isinstance(message, dict) else None
        if not isinstance(content, list):
            messages.append(message)
            continue
        kinds = [part.get("type") if isinstance(part, dict) else None for part in content]
        if "image_url" in kinds:
            _reject("A video prompt has one video and no images.", "messages")
        if DOCUMENT in kinds[1:]:
            _reject(f"'{DOCUMENT}' comes first in the content.", "messages")
        if kinds[:1] == [DOCUMENT]:
            found.append(content[0].get(DOCUMENT))
            content = content[1:]
        messages.append({**message, "content": content})
    if len(found) != 1 or not isinstance(found[0], str) or not found[0]:
        _reject(f"A video prompt has one '{DOCUMENT}'.", "messages")
    rest = {name: value for name, value in body.items() if name not in NAMES}
    return found[0], {**rest, "messages": messages}


def _reject(message: str, param: str) -> NoReturn:
    raise Rejected(WireError(400, message, param=param, code="BadRequest"))
