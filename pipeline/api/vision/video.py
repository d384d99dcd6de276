"""A video of an index in a chat request, by its document's id: the service looks at it, and its bytes never come here.
Pure.

Wire: how-to of 2024-02 (GPT-4 Turbo with Vision, video); the id comes before the text (azureai-samples, GPT-4V/video).
The address of each video stands among the data source's parameters, so these end in the tail of a body.
"""

import json
from dataclasses import dataclass
from urllib.parse import urlsplit

from pipeline.api.options import ModelOptions, VideoAccess
from pipeline.api.vision.extensions import FIRST_VERSION, LAST_VERSION, MODEL, Extension, has_extensions
from pipeline.api.vision.resource import NEEDED, VisionResource
from pipeline.errors import UserError
from pipeline.models import find_model

REMOVED = (
    f"A video index is asked about with {MODEL} on Azure and an api-version from {FIRST_VERSION} to {LAST_VERSION}; "
    "{told}. Without --video-index video files themselves are captioned, by frames (extra video)."
)


def video_extension(options: ModelOptions, host: str, vision: VisionResource | None) -> Extension:
    """What stands in front of a question about a video of `options.video_index`, at the Azure endpoint `host`.

    UserError when it needs a key that the environment lacks.
    """
    access = _access(options.video_access, host, vision)
    parameters: dict[str, object] = {}
    secrets: tuple[str, ...] = ()
    if access in ("vision", "vision-endpoint"):
        if vision is None or vision.key is None:
            raise UserError(
                f"video_access = {access!r} shows the model the key of an Azure AI Vision resource: {NEEDED}."
            )
        name, path = ("computerVisionBaseUrl", "/computervision") if access == "vision" else ("endpoint", "")
        parameters = {name: vision.endpoint + path, "computerVisionApiKey": vision.key}
        secrets = (vision.key,)
    source = {"type": "AzureComputerVisionVideoIndex", "parameters": {**parameters, "indexName": options.video_index}}
    return Extension({"enhancements": {"video": {"enabled": True}}, "dataSources": [source]}, secrets, is_open=True)


def check_video(options: ModelOptions, provider: str, api_version: str | None) -> None:
    """UserError when nobody could answer a question about a video of an index."""
    if provider != "azure":
        raise UserError(REMOVED.format(told=f"{options.name} is another"))
    if not has_extensions(api_version):
        raise UserError(REMOVED.format(told=f"{api_version or 'the undated /openai/v1/ form'} has none"))
    model = find_model(f"azure:{options.azure_model}" if options.azure_model else options.name)
    if model.name != MODEL:
        raise UserError(REMOVED.format(told=f"{model} is another"))


def _access(wanted: VideoAccess, host: str, vision: VisionResource | None) -> VideoAccess:
    if wanted != "auto":
        return wanted
    # An Azure AI Services resource is both in one, and needs no second one named.
    return "ai-services" if vision is None or urlsplit(vision.endpoint).hostname == host else "vision"


@dataclass(frozen=True, slots=True)
class DocumentTail:
    """The body from the end of the data source's parameters on."""

    prompt: str
    system: str
    managed_identity: bool
    """The service reads the videos in its own name."""

    def render(self, id_: str, url: str, prompt: str | None = None) -> bytes:
        """`url` with its signature; `prompt` the video's own."""
        if self.managed_identity:
            access: dict[str, object] = {"documentAuthenticationKind": "managedidentity"}
        else:
            access = {"videoUrls": [url]}
        content = [
            {"type": "acv_document_id", "acv_document_id": id_},
            {"type": "text", "text": self.prompt if prompt is None else prompt},
        ]
        system = [{"role": "system", "content": self.system}] if self.system else []
        messages = [*system, {"role": "user", "content": content}]
        ended = _json(access).removeprefix("{")
        return f',{ended}}}],"messages":{_json(messages)}}}'.encode()


def document_tail(options: ModelOptions) -> DocumentTail:
    return DocumentTail(options.prompt, options.system, options.video_access == "managed-identity")


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
