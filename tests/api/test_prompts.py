import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.api.prompts import own_prompts, prompt_template
from pipeline.errors import UserError
from pipeline.items import Failure, SourceImage

TEXTS = st.text(st.sampled_from('ab {}"\n1é')) | st.text()


def image(key: str = "a.jpg", prompt: str | None = None, **columns: str) -> SourceImage:
    return SourceImage(key, f"file:///{key}", "v1", metadata=columns or None, prompt=prompt)


@given(st.lists(TEXTS, min_size=2, max_size=4), st.lists(TEXTS, min_size=3, max_size=3))
def test_what_is_escaped_and_filled_comes_out_as_it_was_meant(texts: list[str], values: list[str]) -> None:
    columns = ["category", "alt text", "größe"][: len(texts) - 1]
    written = "".join(
        text.replace("{", "{{").replace("}", "}}") + column
        for text, column in zip(texts, [*(f"{{{name}}}" for name in columns), ""], strict=True)
    )
    template = prompt_template(written)
    assert template is not None
    row = dict(zip(columns, values, strict=False))
    assert template.fill(row) == texts[0] + "".join(row[c] + text for c, text in zip(columns, texts[1:], strict=True))


@pytest.mark.parametrize(
    "prompt", ["Describe it.", 'Answer as {"caption": "..."}', '{"a": {"b": 1}}', "{", "{1}", "{}"]
)
def test_a_prompt_without_columns_is_sent_as_it_is(prompt: str) -> None:
    assert prompt_template(prompt) is None
    assert [each.prompt for each in own_prompts([image(category="x")], prompt)] == [None]


def test_a_lone_brace_beside_a_column_is_refused() -> None:
    with pytest.raises(UserError, match="belongs to none"):
        prompt_template('{category} as {"a": 1}')


def test_an_own_prompt_is_part_of_the_version() -> None:
    made = list(
        own_prompts([image(category="food"), image(category="art"), image(category="food")], "This {category}.")
    )
    assert [each.prompt for each in made] == ["This food.", "This art.", "This food."]
    assert made[0].version == made[2].version != made[1].version
    assert made[0].version.startswith("v1+prompt:")


def test_a_rows_own_prompt_comes_first_and_is_taken_literally() -> None:
    first, second = own_prompts([image(prompt="Why {so}?", category="x"), image(category="y")], "A {category}")
    assert (first.prompt, second.prompt) == ("Why {so}?", "A y")


def test_an_unknown_column_is_named_with_those_that_there_are() -> None:
    with pytest.raises(UserError, match=r"\{categry\}.*category, title"):
        list(own_prompts([image(title="t", category="c")], "A {categry}"))
    with pytest.raises(UserError, match="no columns"):
        list(own_prompts([image()], "A {category}"))


def test_a_later_row_without_the_column_is_a_row_with_a_reason() -> None:
    failed = SourceImage("c.jpg", "", "", failure=Failure("invalid_row", "Broken."))
    made = list(own_prompts([image(category="x"), image("b.jpg", title="y"), failed], "A {category}"))
    assert [each.failure.reason if each.failure else None for each in made] == [None, "incomplete_row", "invalid_row"]
