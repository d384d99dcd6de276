import base64
import json

import pytest
from PIL import Image

from pipeline.emulator.wire.errors import Rejected
from pipeline.emulator.wire.question import PARAMETERS, Question, read_question
from pipeline.emulator.wire.shapes import WantedShape
from pipeline.models import find_model
from tests.helpers.pictures import animation, encoded, exif, photo, stored

PHOTO = encoded(photo(640, 480))


def data_url(data: bytes = PHOTO, mime: str = "image/jpeg") -> str:
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


def image_part(url: str | None = None, **more: object) -> dict[str, object]:
    return {"type": "image_url", "image_url": {"url": url or data_url(), **more}}


def body(*parts: object, **more: object) -> dict[str, object]:
    content = [{"type": "text", "text": "Describe."}, *(parts or (image_part(),))]
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": content}], **more}


def read(request, model="gpt-4o", provider="openai", api_version=None, decode=False) -> Question:
    return read_question(request, find_model(model), provider=provider, api_version=api_version, decode=decode)


def rejected(request: object, **how):
    with pytest.raises(Rejected) as caught:
        read(request, **how)
    assert caught.value.error.status == 400
    json.loads(caught.value.error.body())
    return caught.value.error


def test_texts_and_images_of_several_messages():
    other = data_url(encoded(photo(30, 20), "png"), "image/png")
    question = read(
        {
            "model": "gpt-4o",
            "max_tokens": 90,
            "messages": [
                {"role": "system", "content": "You are terse."},
                {"role": "user", "content": [{"type": "text", "text": "One"}, image_part(detail="low")]},
                {"role": "assistant", "content": None},
                {
                    "role": "user",
                    "content": [image_part(other), {"type": "text", "text": "two"}],
                },
            ],
        }
    )
    assert [message.role for message in question.messages] == ["system", "user", "assistant", "user"]
    assert [message.text for message in question.messages] == ["You are terse.", "One", "", "two"]
    assert [(p.format, p.width, p.height, p.detail) for p in question.pictures] == [
        ("jpeg", 640, 480, "low"),
        ("png", 30, 20, "auto"),
    ]
    assert question.max_tokens == 90
    assert question.characters == len("You are terse.Onetwo")


def test_sides_are_those_of_the_upright_picture():
    turned = encoded(stored(photo(60, 40), 6), exif=exif(6))
    [picture] = read(body(image_part(data_url(turned)))).pictures
    assert (picture.width, picture.height) == (60, 40)


def test_the_digest_tells_questions_apart_but_not_their_settings():
    question = read(body())
    assert question.digest == read(body(max_tokens=5, temperature=0)).digest
    assert question.digest != read(body(image_part(data_url(encoded(photo(641, 480)))))).digest
    assert question.digest != read({**body(), "messages": [{"role": "user", "content": "Describe."}]}).digest


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "gif"])
def test_accepted_formats(kind):
    [picture] = read(body(image_part(data_url(encoded(photo(), kind), f"image/{kind}")))).pictures
    assert picture.format == kind


@pytest.mark.parametrize(
    "data",
    [
        encoded(photo(), "bmp"),
        encoded(photo(), "tiff"),
        animation("gif"),
        b"This is no image at all, whatever its name says.",
        PHOTO[:2000],
        encoded(photo(), "png")[:-20],
        encoded(photo(), "webp")[:-20],
    ],
    ids=["bmp", "tiff", "animated", "text", "cut-jpeg", "cut-png", "cut-webp"],
)
def test_images_that_no_provider_takes(data):
    error = rejected(body(image_part(data_url(data))))
    assert error.code == "invalid_image_format"
    assert "unsupported image" in error.message


def test_damage_inside_shows_only_when_decoding():
    damaged = bytearray(encoded(photo(64, 64), "png"))
    middle = damaged.index(b"IDAT") + 40
    damaged[middle : middle + 20] = bytes(20)
    request = body(image_part(data_url(bytes(damaged), "image/png")))
    assert read(request).pictures
    assert rejected(request, decode=True).code == "invalid_image_format"


@pytest.mark.parametrize(
    ("part", "code", "words"),
    [
        (image_part("https://example.com/a.jpg"), "invalid_image_url", "Timeout while downloading"),
        (image_part("/tmp/a.jpg"), "invalid_value", "without the 'data:' prefix"),
        (image_part(data_url(mime="application/octet-stream")), "invalid_image_format", "Invalid MIME type"),
        (image_part("data:image/png;base64,%%%"), "invalid_base64_image", "Invalid base64"),
        (image_part("data:image/png;base64,"), "invalid_base64_image", "Invalid base64"),
        (image_part(detail="medium"), "invalid_value", "'low', 'high', and 'auto'"),
        (image_part(detail=None), "missing_required_parameter", "image_url.detail"),
        (image_part(size=3), "unknown_parameter", "image_url.size"),
        ({"type": "image_url", "image_url": data_url()}, "invalid_type", "expected an object, but got a string"),
        ({"type": "image_url"}, "missing_required_parameter", "messages[0].content[1].image_url"),
        ({"type": "image", "image": "x"}, "invalid_value", "'text', and 'image_url'"),
        ({"type": "text"}, "missing_required_parameter", "messages[0].content[1].text"),
        ({"type": "text", "text": "x" * 1_048_577}, "string_above_max_length", "1048577"),
        ("Describe.", "invalid_type", "messages[0].content[1]"),
    ],
)
def test_wrong_parts_are_named(part, code, words):
    error = rejected(body(part))
    assert error.code == code
    assert words in error.message


@pytest.mark.parametrize(
    ("change", "param", "words"),
    [
        ({"messages": None}, "messages", "Missing required"),
        ({"messages": []}, "messages", "empty array"),
        ({"messages": "Describe."}, "messages", "expected an array of objects, but got a string"),
        ({"messages": [{"content": "x"}]}, "messages[0].role", "Missing required"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role", "'robot'"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "Missing required"),
        ({"messages": [{"role": "system", "content": [image_part()]}]}, "messages[0]", "role 'system'"),
        ({"max_tokens": 0}, "max_tokens", "minimum value"),
        ({"max_tokens": "10"}, "max_tokens", "expected an integer, but got a string"),
        ({"max_tokens": True}, "max_tokens", "got a boolean"),
        ({"max_tokens": 5, "max_completion_tokens": 5}, "max_tokens", "at the same time"),
        ({"temperature": "hot"}, "temperature", "expected a decimal"),
        ({"max_tokens": 20_000}, "max_tokens", "supports at most 16384"),
        ({"stream": True}, "stream", "does not stream"),
        ({"n": 2}, "n", "answers once"),
        ({"max_token": 5}, None, "Unrecognized request argument supplied: max_token"),
        ({"enhancements": {}}, None, "enhancements"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "Missing required"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}},
            "response_format.json_schema.name",
            "Missing required",
        ),
    ],
)
def test_wrong_requests_are_named(change, param, words):
    error = rejected(body() | change)
    assert error.param == param
    assert words in error.message


def test_too_many_images():
    many = body(*[image_part() for _ in range(11)])
    assert "11, maximum allowed: 10" in rejected(many, model="azure:gpt-4-turbo", provider="azure").message
    assert len(read(many, model="azure:gpt-4o", provider="azure").pictures) == 11
    assert len(read(many).pictures) == 11


def test_an_image_of_too_many_bytes_for_the_api_version():
    large = body(image_part(data_url(PHOTO[:-2] + bytes(4_000_000) + PHOTO[-2:])))
    asked = {"model": "azure:gpt-4-vision-preview", "provider": "azure"}
    assert rejected(large, api_version="2023-12-01-preview", **asked).code == "invalid_image_format"
    assert read(large, api_version="2024-02-15-preview", **asked).pictures[0].bytes > 4_000_000


def test_a_model_that_thinks_takes_neither_max_tokens_nor_temperature():
    error = rejected(body(max_tokens=100), model="o4-mini")
    assert (error.param, error.code) == ("max_tokens", "unsupported_parameter")
    assert "Use 'max_completion_tokens' instead." in error.message
    error = rejected(body(max_completion_tokens=100, temperature=0), model="o4-mini")
    assert (error.param, error.code) == ("temperature", "unsupported_value")
    assert read(body(max_completion_tokens=100, temperature=1), model="o4-mini").max_tokens == 100


def test_an_image_wider_than_any_jpeg():
    wide = encoded(Image.new("1", (65_536, 1)), "png")
    assert rejected(body(image_part(data_url(wide, "image/png")))).code == "invalid_image_format"


def test_older_azure_versions_do_not_know_max_completion_tokens():
    request = body(max_completion_tokens=10)
    assert read(request, provider="azure", api_version="2024-10-21").max_tokens == 10
    assert read(request, provider="azure").max_tokens == 10
    assert "max_completion_tokens" in rejected(request, provider="azure", api_version="2024-02-01").message


def test_a_schema_is_read():
    schema = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    wanted = {"type": "json_schema", "json_schema": {"name": "caption", "schema": schema, "strict": True}}
    assert read(body(response_format=wanted)).shape == WantedShape("caption", schema)


def test_every_parameter_of_the_official_client_is_known():
    from openai.types.chat.completion_create_params import CompletionCreateParamsBase

    assert set(CompletionCreateParamsBase.__annotations__) <= PARAMETERS


def test_pictures_are_small_enough():
    tall = Image.new("L", (8, 8))
    huge = encoded(tall, "png") + bytes(20 * 1024 * 1024)
    assert rejected(body(image_part(data_url(huge, "image/png")))).code == "invalid_image_format"
