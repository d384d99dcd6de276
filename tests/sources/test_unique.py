from collections.abc import Iterator

import pytest

from pipeline.errors import UserError
from pipeline.items import SourceImage
from pipeline.sources import unique
from pipeline.sources.unique import each_once


def listing(*keys: str) -> Iterator[SourceImage]:
    return (SourceImage(key, f"file:///{number}", "") for number, key in enumerate(keys))


@pytest.mark.parametrize("recent", [1, 3, 1000])
def test_a_key_that_comes_twice_is_named_with_both_places(recent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unique, "RECENT", recent)
    keys = [str(number) for number in range(50)]
    assert [image.key for image in each_once(lambda: listing(*keys))] == keys
    for twice in ("0", "17", "49"):
        seen = []
        with pytest.raises(UserError, match=f"'{twice}' comes twice.*file:///{twice}.*file:///50"):
            seen += each_once(lambda: listing(*keys, twice))  # noqa: B023


def test_keys_that_only_share_a_hash_are_let_through(monkeypatch: pytest.MonkeyPatch) -> None:
    class Alike(str):
        __slots__ = ()

        def __hash__(self) -> int:
            return 7

    images = [image.key for image in each_once(lambda: listing(Alike("a"), Alike("b"), Alike("c")))]
    assert images == ["a", "b", "c"]
