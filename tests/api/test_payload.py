import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.api.options import ModelOptions
from pipeline.api.payload import (
    Form,
    LabelledImage,
    MaxTokensName,
    Parameter,
    around_images,
    images_of,
    render_head,
    tail_template,
    without_detail,
)

# Everything a prompt may hold, half emojis and our own parameter included.
PROMPTS = st.text(st.characters() | st.characters(categories=["Cs"])) | st.sampled_from(
    ['"max_tokens":', '{"detail":"high",', '""}]}]}', '\\"max_tokens\\":', "\\", '"', "</data:image/png;base64,"]
)


def test_several_images_each_follow_their_label() -> None:
    images = [LabelledImage("Image 1: a.jpg", "jpeg", b"one"), LabelledImage('"2"', "png", b"two")]
    options = ModelOptions(prompt='Which {"detail":"high",} differs?', detail="low")
    tail = tail_template(options).render_several(images)
    content = json.loads(render_head(options, Form("m")) + tail)["messages"][-1]["content"]
    urls = [f"data:image/{image.format};base64,{base64.b64encode(image.data).decode()}" for image in images]
    assert content == [
        {"type": "text", "text": options.prompt},
        {"type": "text", "text": "Image 1: a.jpg"},
        {"type": "image_url", "image_url": {"detail": "low", "url": urls[0]}},
        {"type": "text", "text": '"2"'},
        {"type": "image_url", "image_url": {"detail": "low", "url": urls[1]}},
    ]
    plain = json.loads(render_head(options, Form("m")) + without_detail(tail))["messages"][-1]["content"]
    assert [part["image_url"] for part in plain if "image_url" in part] == [{"url": url} for url in urls]
    assert plain[0] == content[0]


@given(PROMPTS, st.lists(st.tuples(PROMPTS, st.binary(max_size=9)), min_size=1, max_size=3))
def test_images_are_found_again_in_a_body(prompt: str, given: list[tuple[str, bytes]]) -> None:
    images = [LabelledImage(f"1 {label}", "png", data) for label, data in given]
    template = tail_template(ModelOptions(prompt=prompt))
    for tail, sent in (
        (template.render_several(images), images),
        (template.render("png", images[0].data), [LabelledImage("", "png", images[0].data)]),
    ):
        assert images_of(tail) == sent
        pieces = around_images(tail)
        assert len(pieces) == len(sent) + 1
        encoded = [base64.b64encode(image.data) for image in sent]
        assert tail == b"".join(piece + data for piece, data in zip(pieces, [*encoded, b""], strict=True))


def test_an_address_is_no_image() -> None:
    tail = tail_template(ModelOptions()).render_url("https://example.org/a;base64,b.jpg")
    assert images_of(tail) == []
    assert around_images(tail) == [tail]


def naive(options: ModelOptions, model: str | None, parameter: str, mime: str, image: bytes) -> dict[str, Any]:
    url = f"data:{mime};base64,{base64.b64encode(image).decode()}"
    content = [
        {"type": "text", "text": options.prompt},
        {"type": "image_url", "image_url": {"url": url, "detail": options.image_detail}},
    ]
    messages: list[dict[str, Any]] = [{"role": "system", "content": options.system}] if options.system else []
    messages.append({"role": "user", "content": content})
    body = {"messages": messages, parameter: options.max_tokens}
    return body | ({} if model is None else {"model": model})


def body_of(
    options: ModelOptions, model: str | None, parameter: MaxTokensName, image: bytes, kind: str = "png"
) -> bytes:
    return render_head(options, Form(model, parameter)) + tail_template(options).render(kind, image)


@given(
    PROMPTS, PROMPTS, st.none() | st.text(), st.binary(max_size=100), st.sampled_from(["jpeg", "png", "webp", "gif"])
)
def test_the_spliced_body_is_the_naive_one(
    prompt: str, system: str, model: str | None, image: bytes, image_format: str
) -> None:
    options = ModelOptions(prompt=prompt, system=system, detail="low", max_tokens=77)
    body = body_of(options, model, "max_tokens", image, image_format)
    assert json.loads(body) == naive(options, model, "max_tokens", f"image/{image_format}", image)


@given(PROMPTS, PROMPTS, st.binary(max_size=100))
def test_one_tail_fits_every_endpoint(prompt: str, system: str, image: bytes) -> None:
    options = ModelOptions(prompt=prompt, system=system)
    tail = tail_template(options).render("png", image)
    for model in ("gpt-4o", None):
        form = Form(model)
        assert json.loads(render_head(options, form) + tail) == naive(options, model, "max_tokens", "image/png", image)
        renamed = form.correct("max_tokens")
        assert renamed
        body = json.loads(render_head(options, renamed) + tail)
        assert body == naive(options, model, "max_completion_tokens", "image/png", image)


def test_a_limit_is_renamed_once_either_way() -> None:
    older = Form("m", "max_completion_tokens").correct("max_tokens")
    assert older
    assert older.max_tokens_name == "max_tokens"
    assert older.correct("max_tokens") is None


def test_a_temperature_is_sent_where_there_is_one_and_left_out_where_it_is_refused() -> None:
    form = Form("m")
    assert b"temperature" not in render_head(ModelOptions(), form)
    options = ModelOptions(temperature=0.0)
    assert b'"temperature":0.0' in render_head(options, form)
    refused: Parameter = "temperature"
    corrected = form.correct(refused)
    assert corrected
    assert b"temperature" not in render_head(options, corrected)
    assert corrected.correct(refused) is None


@given(PROMPTS, st.binary(max_size=100))
def test_a_detail_that_is_refused_is_taken_out_and_nothing_else(prompt: str, image: bytes) -> None:
    options = ModelOptions(prompt=prompt)
    tail = without_detail(tail_template(options).render("png", image))
    expected = naive(options, "m", "max_tokens", "image/png", image)
    del expected["messages"][0]["content"][1]["image_url"]["detail"]
    assert json.loads(render_head(options, Form("m")) + tail) == expected
    assert without_detail(tail) == tail


@pytest.mark.parametrize("system", ["", "You are terse."])
def test_the_text_stands_before_the_image_so_that_requests_share_a_prefix(system: str) -> None:
    body = body_of(ModelOptions(prompt="Describe it.", system=system), "gpt-4o", "max_tokens", b"image")
    assert body.index(b"Describe it.") < body.index(b"data:image/png")


@given(PROMPTS, PROMPTS, st.binary(max_size=100))
def test_an_image_with_its_own_prompt(prompt: str, own: str, image: bytes) -> None:
    options = ModelOptions(prompt=prompt)
    body = render_head(options, Form("m")) + tail_template(options).render("png", image, own)
    assert json.loads(body) == naive(ModelOptions(prompt=own), "m", "max_tokens", "image/png", image)


@given(PROMPTS, PROMPTS)
def test_an_image_that_is_named_by_its_address(prompt: str, url: str) -> None:
    options = ModelOptions(prompt=prompt, detail="low")
    body = json.loads(render_head(options, Form("m")) + tail_template(options).render_url(url))
    text, image = body["messages"][-1]["content"]
    assert (text["text"], image["image_url"]) == (prompt, {"detail": "low", "url": url})
