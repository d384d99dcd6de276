import json

import pytest

from pipeline.emulator.answer import caption, give_answer, prompt_tokens, text_tokens
from pipeline.emulator.wire.question import Message, Picture, Question
from pipeline.emulator.wire.shapes import WantedShape
from pipeline.engine.asking.lint import find_flaw
from pipeline.models import find_model

GPT_4O = find_model("gpt-4o")


def picture(width=640, height=480, detail="high", digest="0123456789ab"):
    return Picture("jpeg", width, height, detail, "image/jpeg", digest, 1000)


def ask(*messages: Message, schema=None) -> Question:
    return Question(messages, None, WantedShape("answer", schema) if schema else None)


def user(text: str, *pictures: Picture) -> Message:
    return Message("user", text, pictures)


WORD = "repeat word from attached image"


@pytest.mark.parametrize(
    ("model", "detail", "tokens"),
    [
        ("gpt-4o", "low", 97),
        ("gpt-4o", "high", 267),
        ("gpt-4.1", "high", 267),
        ("gpt-4o-mini", "low", 2845),
        ("gpt-4.1-mini", "high", 26),
    ],
)
def test_prompts_cost_what_was_billed(model, detail, tokens):
    """Bills of 2025-05 for a 128x64 image, community thread 1262691."""
    assert prompt_tokens(find_model(model), ask(user(WORD, picture(128, 64, detail)))) == tokens


def test_every_message_and_every_image_counts():
    one = ask(user(WORD, picture(1024, 1024)))
    assert prompt_tokens(GPT_4O, one) == 12 + 765
    both = ask(user(WORD, picture(1024, 1024), picture(4096, 8192, "low")))
    assert prompt_tokens(GPT_4O, both) == 12 + 765 + 85
    longer = ask(
        Message("system", "hello world"),
        user(WORD, picture(1024, 1024)),
        Message("assistant", "hello world"),
        user("hello world", picture(2048, 4096, "auto")),
    )
    assert prompt_tokens(GPT_4O, longer) == 12 + 765 + 3 * (4 + 2) + 1105


def test_each_label_is_counted_by_itself():
    labelled = Message("user", WORD, (picture(128, 64, "low"),) * 2, ("Image 1: a.jpg", "Image 2: b.jpg"))
    tokens = [text_tokens(GPT_4O, label) for label in labelled.labels]
    assert prompt_tokens(GPT_4O, ask(labelled)) == 97 + 85 + sum(tokens)
    unknown = find_model("compatible:nobody-knows-it")
    assert prompt_tokens(unknown, ask(labelled)) == 3 + 4 + 8 + 2 * 4 + 2 * 576


def test_a_developer_message_counts_as_a_system_message():
    texts = [ask(Message(role, "Be brief."), user(WORD)) for role in ("developer", "system")]
    assert prompt_tokens(GPT_4O, texts[0]) == prompt_tokens(GPT_4O, texts[1])


def test_without_a_known_tokenizer_text_is_counted_by_its_length():
    unknown = find_model("compatible:nobody-knows-it")
    assert text_tokens(unknown, "x" * 41) == 11
    assert prompt_tokens(unknown, ask(user("x" * 40, picture()))) == 3 + 4 + 10 + 576


def test_captions_tell_images_apart_and_say_that_they_are_no_captions():
    first, second = (caption(GPT_4O, ask(user("?", picture(digest=digest))), 0) for digest in ("aaaa", "bbbb"))
    assert first != second
    assert first.startswith("A 640x480 jpeg picture, landscape, marked aaaa.")
    assert "No model has looked at it" in first
    assert caption(GPT_4O, ask(user("!", picture(digest="aaaa"))), 0) == first


def test_a_caption_has_a_sentence_for_each_image():
    text = caption(GPT_4O, ask(user("?", picture(100, 300), picture(200, 200))), 0)
    assert "A 100x300 jpeg picture, portrait" in text
    assert "A 200x200 jpeg picture, square" in text


@pytest.mark.parametrize("wanted", [50, 120, 400])
def test_captions_can_be_as_long_as_real_ones(wanted):
    length = text_tokens(GPT_4O, caption(GPT_4O, ask(user("?", picture())), wanted))
    assert wanted <= length < wanted + 30


def test_an_answer_ends_where_its_tokens_end():
    text = caption(GPT_4O, ask(user("?", picture())), 100)
    whole = give_answer(GPT_4O, 500, text, max_tokens=200)
    assert (whole.text, whole.finish, whole.prompt_tokens) == (text, "stop", 500)
    assert whole.completion_tokens == text_tokens(GPT_4O, text)
    cut = give_answer(GPT_4O, 500, text, max_tokens=16)
    assert (cut.finish, cut.completion_tokens) == ("length", 16)
    assert text.startswith(cut.text)
    assert text_tokens(GPT_4O, cut.text) == 16


def test_reasoning_may_leave_nothing_to_say():
    answer = give_answer(GPT_4O, 500, "A picture.", max_tokens=50, reasoning_tokens=64)
    assert (answer.text, answer.finish, answer.completion_tokens, answer.reasoning_tokens) == ("", "length", 50, 50)
    answer = give_answer(GPT_4O, 500, "A picture.", max_tokens=100, reasoning_tokens=64)
    assert (answer.finish, answer.completion_tokens, answer.reasoning_tokens) == ("stop", 64 + 3, 64)


def test_a_schema_is_filled():
    schema = {
        "type": "object",
        "properties": {
            "caption": {"type": "string"},
            "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}},
            "people": {"type": "integer"},
            "sharpness": {"type": ["number", "null"]},
            "indoors": {"type": "boolean"},
            "kind": {"enum": ["photo", "drawing"]},
            "place": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "more": {"type": "object"},
            "version": {"const": 1},
        },
        "$defs": {"tag": {"type": "object", "properties": {"name": {"type": "string"}}}},
    }
    answer = json.loads(caption(GPT_4O, ask(user("?", picture()), schema=schema), 0))
    text = answer["caption"]
    assert text.startswith("A 640x480")
    assert answer == {
        "caption": text,
        "tags": [{"name": text}],
        "people": 1,
        "sharpness": 0.5,
        "indoors": True,
        "kind": "photo",
        "place": text,
        "more": {},
        "version": 1,
    }


def test_a_schema_that_holds_itself_ends():
    child = {"$ref": "#"}
    schema = {"type": "object", "properties": dict.fromkeys("abcdefghij", child)}
    inner = dict.fromkeys("abcdefghij")
    assert json.loads(caption(GPT_4O, ask(user("?"), schema=schema), 0)) == dict.fromkeys("abcdefghij", inner)


def test_long_captions_do_not_repeat_themselves():
    text = caption(GPT_4O, ask(user("Describe.", picture())), 600)
    assert text_tokens(GPT_4O, text) >= 600
    assert find_flaw(text) is None
