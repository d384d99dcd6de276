import pytest

from pipeline.errors import UserError
from pipeline.sources.braces import expanded


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("shard-{008..010}.tar", ["shard-008.tar", "shard-009.tar", "shard-010.tar"]),
        ("{9..11}", ["9", "10", "11"]),
        ("{a,b}/{0..1}.zip", ["a/0.zip", "a/1.zip", "b/0.zip", "b/1.zip"]),
        ("plain.tar", ["plain.tar"]),
        ("{5..5}", ["5"]),
    ],
)
def test_names(pattern: str, names: list[str]) -> None:
    assert expanded(pattern) == names


@pytest.mark.parametrize("pattern", ["{3..1}", "{0..99999999999}", "{x}", "{0..999}{0..999}{0..999}"])
def test_what_is_no_pattern(pattern: str) -> None:
    with pytest.raises(UserError):
        expanded(pattern)
