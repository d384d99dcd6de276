"""A chat-completions server that is not ours: it counts by its own formulas and imports nothing of the product.

Written from OpenAI's published rules and published bills alone. It decodes every image with Pillow, knows four models
and one prompt, whose tokens are published (community.openai.com 1262691), and refuses whatever else it is asked.
"""

import base64
import io
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from fractions import Fraction

from aiohttp import web
from PIL import Image

PROMPT = "repeat word from attached image"
FRAME_TOKENS = {"gpt-4o": 12, "gpt-4o-mini": 12, "gpt-4.1-mini": 12, "gpt-5-mini": 11}
"""Five for the words, one for the role, three for the message, three for the answer; one less where a model reasons."""
TILES = {"gpt-4o": (85, 170), "gpt-4o-mini": (2833, 5667)}
"""Tokens of the base and of a tile."""
PATCHES = {"gpt-4.1-mini": Fraction(162, 100), "gpt-5-mini": Fraction(120, 100)}
"""Tokens of a patch."""
PATCH_BUDGET = 1536
ANSWER = "No word is to be seen."
ANSWER_TOKENS = 8


@dataclass(frozen=True, slots=True)
class ForeignServer:
    """Where it listens."""

    base_url: str


def tile_tokens(model: str, width: int, height: int) -> int:
    scale = min(1.0, 2048 / max(width, height))
    width, height = round(width * scale), round(height * scale)
    scale = min(1.0, 768 / min(width, height))
    width, height = round(width * scale), round(height * scale)
    base, tile = TILES[model]
    return base + tile * math.ceil(width / 512) * math.ceil(height / 512)


def patch_tokens(model: str, width: int, height: int) -> int:
    scale = min(1.0, 2048 / max(width, height))
    width, height = round(width * scale), round(height * scale)
    patches = math.ceil(width / 32) * math.ceil(height / 32)
    if patches > PATCH_BUDGET:
        scale = math.sqrt(32**2 * PATCH_BUDGET / (width * height))
        across, down = width * scale / 32, height * scale / 32
        scale *= min(math.floor(across) / across, math.floor(down) / down)
        width, height = int(width * scale + 1e-6), int(height * scale + 1e-6)
        patches = min(PATCH_BUDGET, math.ceil(width / 32) * math.ceil(height / 32))
    return math.ceil(patches * PATCHES[model])


def prompt_tokens(model: str, width: int, height: int) -> int:
    """What a question of PROMPT and one image costs. Chat completions count one more where images are patches."""
    if model in TILES:
        return FRAME_TOKENS[model] + tile_tokens(model, width, height)
    return FRAME_TOKENS[model] + patch_tokens(model, width, height) + 1


@asynccontextmanager
async def foreign_server() -> AsyncIterator[ForeignServer]:
    """The server on a free port of 127.0.0.1, in this event loop."""
    app = web.Application(client_max_size=100 * 1024 * 1024)
    app.router.add_post("/v1/chat/completions", _answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield ForeignServer(f"http://{host}:{port}/v1")
    finally:
        await runner.cleanup()


async def _answer(request: web.Request) -> web.Response:
    try:
        model, image = _question(await request.json())
        prompt = prompt_tokens(model, *_size(image))
    except (KeyError, ValueError, OSError) as error:
        message = f"Not as this server expects it: {error!r}"
        document = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
        return web.json_response({"error": document}, status=400)
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": ANSWER_TOKENS,
        "total_tokens": prompt + ANSWER_TOKENS,
    }
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": ANSWER}}
    return web.json_response(
        {"id": "chatcmpl-1", "object": "chat.completion", "model": model, "choices": [choice], "usage": usage}
    )


def _question(body: dict[str, object]) -> tuple[str, bytes]:
    """Model and image of the one kind of question it answers; ValueError for any other."""
    match body:
        case {
            "model": str(model),
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": text},
                        {"type": "image_url", "image_url": {"url": str(url), "detail": "high"}},
                    ],
                }
            ],
        } if text == PROMPT:
            if model not in FRAME_TOKENS:
                raise ValueError(model)
            limit = "max_completion_tokens" if model == "gpt-5-mini" else "max_tokens"
            if limit not in body:
                raise ValueError(f"{model} wants {limit}")
            kind, _, data = url.partition(";base64,")
            if kind not in ("data:image/jpeg", "data:image/png", "data:image/webp", "data:image/gif"):
                raise ValueError(kind)
            return model, base64.b64decode(data, validate=True)
    raise ValueError("not one text and one image at high detail")


def _size(data: bytes) -> tuple[int, int]:
    """Width and height of an image that is whole and stored upright."""
    with Image.open(io.BytesIO(data)) as image:
        if image.getexif().get(0x0112, 1) != 1:
            raise ValueError("a picture that lies on its side")
        image.load()
        return image.size
