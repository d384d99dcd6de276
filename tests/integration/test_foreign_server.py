"""A vision server that is not ours: llama.cpp's, with a model that speaks nonsense about real images."""

import base64
from collections.abc import Iterator

import openai
import pytest
from openai import AsyncOpenAI

from tests.helpers.pictures import encoded, photo
from tests.helpers.servers import Process, llama_server
from tests.helpers.tiny_vlm import IMAGE_TOKENS

pytest.importorskip("xllamacpp")
pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with llama_server(tmp_path_factory.mktemp("tiny_vlm")) as server:
        yield server


def part(data: bytes, kind: str = "jpeg"):
    return {"type": "image_url", "image_url": {"url": f"data:image/{kind};base64,{base64.b64encode(data).decode()}"}}


async def ask(server: Process, *parts: object):
    content = [{"type": "text", "text": "Describe the picture."}, *parts]
    async with AsyncOpenAI(base_url=server.base_url, api_key="none", max_retries=0) as client:
        return await client.chat.completions.create(
            model="tiny", messages=[{"role": "user", "content": content}], max_tokens=8, temperature=0
        )


async def test_it_captions_an_image(llama):
    completion = await ask(llama, part(encoded(photo(300, 200))))
    text_alone = await ask(llama)
    assert completion.choices[0].finish_reason == "length"
    assert completion.usage.completion_tokens == 8
    assert completion.usage.prompt_tokens > text_alone.usage.prompt_tokens + IMAGE_TOKENS - 1, "it was looked at"


async def test_it_refuses_what_is_no_image(llama):
    with pytest.raises(openai.BadRequestError, match="Failed to load image"):
        await ask(llama, part(b"no image at all"))
