import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.api.options import ModelOptions
from pipeline.api.payload import build_template, rename_max_tokens

# Everything a prompt may hold, half emojis and our own parameter included.
PROMPTS = st.text(st.characters() | st.characters(categories=["Cs"])) | st.sampled_from(
    ['"max_tokens":', '{"max_tokens":300}', "max_tokens", '\\"max_tokens\\":', "\\", '"', "</data:image/png;base64,"]
)


def naive(options: ModelOptions, model: str | None, parameter: str, mime: str, image: bytes) -> dict[str, Any]:
    url = f"data:{mime};base64,{base64.b64encode(image).decode()}"
    content = [
        {"type": "text", "text": options.prompt},
        {"type": "image_url", "image_url": {"url": url, "detail": options.detail}},
    ]
    messages: list[dict[str, Any]] = [{"role": "system", "content": options.system}] if options.system else []
    messages.append({"role": "user", "content": content})
    body = {"messages": messages, parameter: options.max_tokens}
    return body | ({} if model is None else {"model": model})


@given(
    PROMPTS, PROMPTS, st.none() | st.text(), st.binary(max_size=100), st.sampled_from(["jpeg", "png", "webp", "gif"])
)
def test_the_spliced_body_is_the_naive_one(
    prompt: str, system: str, model: str | None, image: bytes, image_format: str
) -> None:
    options = ModelOptions(prompt=prompt, system=system, detail="low", max_tokens=77)
    body = build_template(options, model, "max_tokens").render(image_format, image)
    assert json.loads(body) == naive(options, model, "max_tokens", f"image/{image_format}", image)


@given(PROMPTS, PROMPTS, st.none() | PROMPTS, st.binary(max_size=100))
def test_renaming_touches_the_parameter_alone(prompt: str, system: str, model: str | None, image: bytes) -> None:
    options = ModelOptions(prompt=prompt, system=system)
    renamed = rename_max_tokens(build_template(options, model, "max_tokens").render("png", image))
    assert json.loads(renamed) == naive(options, model, "max_completion_tokens", "image/png", image)
    assert rename_max_tokens(rename_max_tokens(renamed)) == renamed
    older = rename_max_tokens(build_template(options, model, "max_completion_tokens").render("png", image))
    assert json.loads(older) == naive(options, model, "max_tokens", "image/png", image)
    assert rename_max_tokens(b"{}") == b"{}"


def test_one_template_serves_every_image() -> None:
    template = build_template(ModelOptions(), "gpt-4o", "max_completion_tokens")
    first, second = template.render("jpeg", b"one"), template.render("png", b"two")
    assert json.loads(first)["messages"][0]["content"][1]["image_url"]["url"] == "data:image/jpeg;base64,b25l"
    assert json.loads(second)["messages"][0]["content"][1]["image_url"]["url"] == "data:image/png;base64,dHdv"


@pytest.mark.parametrize("system", ["", "You are terse."])
def test_the_text_stands_before_the_image_so_that_requests_share_a_prefix(system: str) -> None:
    template = build_template(ModelOptions(prompt="Describe it.", system=system), "gpt-4o", "max_tokens")
    body = template.render("png", b"image")
    assert body.index(b"Describe it.") < body.index(b"data:image/png")


@given(PROMPTS, PROMPTS, st.binary(max_size=100))
def test_an_image_with_its_own_prompt(prompt: str, own: str, image: bytes) -> None:
    body = build_template(ModelOptions(prompt=prompt), "m", "max_tokens").render("png", image, own)
    assert json.loads(body) == naive(ModelOptions(prompt=own), "m", "max_tokens", "image/png", image)
