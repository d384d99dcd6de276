import pytest

from pipeline.models import find_model, prompt_tokens, text_tokens

FIVE_WORDS = "repeat word from attached image"


@pytest.mark.parametrize(
    ("model", "text", "tokens"),
    [
        ("gpt-4o", "hello world", 2),
        ("gpt-4-turbo", "hello world", 2),
        ("gpt-4o", FIVE_WORDS, 5),
        ("gpt-4o", "", 0),
        ("gpt-4o", "antidisestablishmentarianism", 6),
        ("gpt-4-turbo", "antidisestablishmentarianism", 6),
        ("gpt-4o", "お誕生日おめでとう", 8),
        ("gpt-4-turbo", "お誕生日おめでとう", 9),
        ("gpt-4o", "<|endoftext|>", 7),  # seven pieces of plain text, not one special token
    ],
)
def test_text(model: str, text: str, tokens: int) -> None:
    assert text_tokens(find_model(model), text) == tokens


@pytest.mark.parametrize(
    "model", ["claude-haiku-4-5", "gemini-2.5-flash", "compatible:qwen3-vl-8b-instruct", "builtin:describe"]
)
def test_foreign_vocabularies_are_unknown(model: str) -> None:
    assert text_tokens(find_model(model), "hello") is None
    assert prompt_tokens(find_model(model), "", "hello", [100]) is None


@pytest.mark.parametrize(
    ("model", "image", "billed"),
    # community.openai.com/t/1262691: five words and a 128x64 image; 1262691 again for the patch models' one more
    [
        ("gpt-4o", 85, 97),
        ("gpt-4o", 255, 267),
        ("gpt-4.1", 255, 267),
        ("gpt-4-turbo", 85, 97),
        ("gpt-4o-mini", 2833, 2845),
        ("o3", 75, 86),
        ("o3", 225, 236),
        ("o4-mini", 14, 26),
        ("gpt-4.1-mini", 13, 26),
        ("gpt-4.1-nano", 20, 33),
    ],
)
def test_measured_prompts_with_an_image(model: str, image: int, billed: int) -> None:
    assert prompt_tokens(find_model(model), "", FIVE_WORDS, [image]) == billed


@pytest.mark.parametrize(("model", "tokens"), [("gpt-4o", 19), ("gpt-5", 18)])
def test_the_api_references_greeting(model: str, tokens: int) -> None:
    assert prompt_tokens(find_model(model), "You are a helpful assistant.", "Hello!", []) == tokens


def test_several_images_add_up_and_one_unknown_makes_all_unknown() -> None:
    model = find_model("gpt-4o")
    assert prompt_tokens(model, "", FIVE_WORDS, [85, 85, 85]) == 12 + 3 * 85
    assert prompt_tokens(model, "", FIVE_WORDS, [85, None]) is None
    assert prompt_tokens(find_model("gpt-4.1-mini"), "", FIVE_WORDS, []) == 12
