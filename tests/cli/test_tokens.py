import json

import pytest

from tests.helpers.called import called


@pytest.mark.parametrize(
    ("size", "model", "detail", "tokens"),
    [
        ("1024x1024", "gpt-4-vision-preview", "high", 765),
        ("2048x4096", "gpt-4-vision-preview", "high", 1105),
        ("4096x8192", "gpt-4-vision-preview", "low", 85),
        ("1024x1024", "gpt-4o", "high", 765),
        ("2048x4096", "azure:gpt-4-turbo", "high", 1105),
        ("4096x8192", "gpt-4o", "low", 85),
        ("2048x4096", "azure:gpt-4o-mini", "high", 36835),
        ("4096x8192", "gpt-4o-mini", "low", 2833),
    ],
)
def test_the_guides_own_examples(size: str, model: str, detail: str, tokens: int) -> None:
    as_json = called("tokens", size, "--model", model, "--detail", detail, "--json")
    assert as_json.code == 0, as_json.err
    [report] = json.loads(as_json.out)
    assert report["tokens"] == tokens
    assert f" {tokens:,} tokens" in called("tokens", size, "--model", model, "--detail", detail).out


def test_tiles_sizes_and_dollars_as_text() -> None:
    ended = called("tokens", "3000x2000", "--model", "gpt-4o", "--image-policy", "budget:500")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        "openai:gpt-4o: 3000x2000 at detail high is 1,105 tokens, $0.0027625",
        "  the model sees 1152x768: 3x2 = 6 tiles of 512 px",
        "  original      3000x2000     1,105 tokens, $0.0027625",
        "  optimal        1152x768     1,105 tokens, $0.0027625",
        "  economy        1024x683       765 tokens, $0.0019125",
        "  budget:500      768x512       425 tokens, $0.0010625",
    ]


def test_patches_and_what_the_vendors_table_says() -> None:
    ended = called("tokens", "1800x2400", "--model", "gpt-5-mini", "-m", "gpt-4o")
    first, second = ended.out.split("\n\n")
    assert "33x44 = 1452 patches of 32 px" in first
    assert "the vendor's table says 2,353; bills say 1,743" in first
    assert "vendor" not in second


def test_low_detail_sees_512_pixels() -> None:
    assert "the model sees 256x512\n" in called("tokens", "4096x8192", "-m", "gpt-4o", "--detail", "low").out


def test_a_price_that_nobody_knows_is_not_shown_as_zero() -> None:
    ended = called("tokens", "100x100", "-m", "compatible:Qwen/Qwen3-VL-8B")
    assert "$" not in ended.out
    [report] = json.loads(called("tokens", "100x100", "-m", "compatible:Qwen/Qwen3-VL-8B", "--json").out)
    assert (report["usd"], report["policies"][0]["usd"]) == (None, None)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("0x5", "-m", "gpt-4o"), "No image is 0x5 pixels"),
        (("5x0", "-m", "gpt-4o"), "No image is 5x0 pixels"),
        (("100000x5", "-m", "gpt-4o"), "1 to 65,535 pixels"),
        (("large", "-m", "gpt-4o"), "4000x3000"),
        (("10x10", "-m", "gpt-4o", "--detail", "huge"), "low, high or auto"),
        (("10x10", "-m", "gpt-4o", "--detail", "original"), "low, high or auto"),
        (("10x10", "-m", "gpt-4o", "--image-policy", "budget:-5"), "above zero"),
        (("10x10", "-m", "gpt-4o", "--image-policy", "budget:5"), "the least is 255"),
        (("10x10", "-m", "gpt-3.5-turbo"), "takes no images"),
        (("10x10", "-m", "gpt-4oo"), "Did you mean openai:gpt-4o"),
        (("10x10", "-m", "compatible:mine"), "not known"),
        (("10x10",), "--model"),
        ((), "WxH"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_wrong_question_is_one_sentence(arguments: tuple[str, ...], said: str) -> None:
    ended = called("tokens", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
    assert ended.err.count("\n") == 1
    assert ended.err.startswith("nightcap: ")


@pytest.mark.parametrize(
    ("size", "detail", "images", "text", "services", "usd"),
    [
        ("512x512", "high", 1, 100, ("ocr", "grounding"), "0.00955"),
        # 100 for the question, 100 + 700 to find the key frames, 100 beside the 20 frames.
        ("1920x1080", "low", 20, 1000, ("video_query",), "0.03025"),
    ],
    ids=["image with enhancements", "video"],
)
def test_the_guides_requests_cost_what_the_guides_say(
    size: str, detail: str, images: int, text: int, services: tuple[str, ...], usd: str
) -> None:
    chosen = [part for name in services for part in ("--service", name)]
    ended = called(
        *("tokens", size, "--detail", detail, "-m", "azure:gpt-4-vision-preview", "--images", str(images)),
        *("--text-tokens", str(text), "--answer-tokens", "100", *chosen),
    )
    assert f"the whole request costs ${usd}" in ended.out
