import pytest

from pipeline.errors import UserError
from pipeline.sources.globs import compiled, is_glob, split_glob


@pytest.mark.parametrize(
    ("glob", "matching", "others"),
    [
        ("*.png", ["a.png", "x/y/b.PNG", ".png"], ["a.png.txt", "png", "a.jpg"]),
        ("/*.png", ["a.png"], ["x/a.png"]),
        ("2024/*.jpg", ["2024/a.jpg"], ["2024/x/a.jpg", "x/2024/a.jpg", "a.jpg"]),
        ("2024/**/*.jpg", ["2024/a.jpg", "2024/x/y/a.jpg"], ["2023/a.jpg"]),
        ("2024/**", ["2024/a", "2024/x/y"], ["2024", "20245/a"]),
        ("thumbs/", ["thumbs", "a/thumbs"], ["thumbs/a.jpg", "mythumbs"]),
        ("img_?[0-9].jpg", ["img_a7.jpg", "x/IMG_12.jpg"], ["img_7.jpg", "img_/7.jpg", "img_ab.jpg"]),
        ("[!a-c].gif", ["d.gif"], ["a.gif", "/.gif", "de.gif"]),
        ("a[]].png", ["a].png"], ["a.png"]),
        ("a[.png", ["a[.png"], ["a.png"]),
        ("a+(b).png", ["a+(b).png", "\n/a+(b).png"], ["aab.png"]),
    ],
)
def test_matches(glob: str, matching: list[str], others: list[str]) -> None:
    expression = compiled([glob])
    assert [path for path in matching if not expression.fullmatch(path)] == []
    assert [path for path in others if expression.fullmatch(path)] == []


def test_any_of_several() -> None:
    expression = compiled(["*.png", "/x/*.jpg"])
    assert expression.fullmatch("a/b.png")
    assert expression.fullmatch("x/b.jpg")
    assert not expression.fullmatch("b.jpg")


def test_an_impossible_range_is_named() -> None:
    with pytest.raises(UserError, match=r"\[z-a\]"):
        compiled(["[z-a].png"])


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("photos/2*/*.jpg", ("photos", "/2*/*.jpg")),
        ("*.jpg", (".", "/*.jpg")),
        ("/data/**/x.png", ("/data", "/**/x.png")),
        ("/*/x", ("/", "/*/x")),
    ],
)
def test_split(path: str, parts: tuple[str, str]) -> None:
    assert is_glob(path)
    assert split_glob(path) == parts
