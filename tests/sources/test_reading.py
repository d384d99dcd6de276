import pickle
from pathlib import Path

import pytest

from pipeline.errors import ImageError
from pipeline.items import SourceImage
from pipeline.sources import Reader, SourceOptions
from tests.sources.making import make


def test_another_process_has_a_reader_of_its_own(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg")
    reader: Reader = pickle.loads(pickle.dumps(Reader(SourceOptions())))
    assert reader.read(SourceImage("a.jpg", f"file://{tmp_path}/a.jpg", "")) == b"a.jpg"


@pytest.mark.parametrize("fragment", ["", "x", "offset=1", "offset=1&size=x", "row_group=1", "offset=-1&size=-1"])
def test_a_fragment_that_says_nothing(tmp_path: Path, fragment: str) -> None:
    make(tmp_path, "a.tar")
    with pytest.raises(ImageError):
        Reader(SourceOptions()).read(SourceImage("a", f"file://{tmp_path}/a.tar#{fragment}", ""))
