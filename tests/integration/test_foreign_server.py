"""A vision server that is not ours: llama.cpp's, with a model that speaks nonsense about real images."""

import base64
import shutil
from collections.abc import Iterator

import openai
import pytest
from openai import AsyncOpenAI

from pipeline.job import Job, run_async
from tests.helpers.pictures import encoded, photo
from tests.helpers.rows import rows_of
from tests.helpers.servers import REPOSITORY, Process, llama_server
from tests.helpers.tiny_vlm import IMAGE_TOKENS

pytest.importorskip("xllamacpp")
pytestmark = pytest.mark.integration

SAMPLE_DATA = REPOSITORY / "sample_data"


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


async def test_our_client_captions_through_it(llama, tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for name in ("coffee-rotated.jpg", "cat.webp", "horse.png", "rocket-truncated.jpg"):
        shutil.copy(SAMPLE_DATA / name, pictures)
    job = Job.create(
        pictures, tmp_path / "out", model="compatible:tiny", base_url=llama.base_url, max_tokens=12, concurrency=2
    )
    summary = await run_async(job)
    found = rows_of(job.out)
    assert found.keys() == {path.name for path in pictures.iterdir()}

    broken = found.pop("rocket-truncated.jpg")
    assert (broken["status"], broken["reason"], broken["attempts"]) == ("failed", "truncated_file", 0)
    for row in found.values():
        assert row["status"] in ("captioned", "truncated"), row["message"]
        assert row["caption"]
        assert row["prompt_tokens"] > IMAGE_TOKENS
        assert 0 < row["completion_tokens"] <= 12
        assert row["total_tokens"] == row["prompt_tokens"] + row["completion_tokens"]
        assert (row["cost_usd"], row["predicted_prompt_tokens"]) == (None, None), "nobody told us its price or its rule"
        assert (row["provider"], row["model"], row["attempts"]) == ("compatible", "tiny", 1)
        assert row["sent_format"] in ("jpeg", "png"), "it does not read WebP"
    assert summary.exit_code == 1
    assert (summary.stats.unpriced, summary.stats.cost_usd) == (3, 0)
    assert summary.stats.prompt_tokens == sum(row["prompt_tokens"] for row in found.values())
    assert (await run_async(job)).stats.todo == 0
