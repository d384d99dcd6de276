import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.api.retrieval.names import check_document_id, check_index_name, document_id, ingestion_name
from pipeline.errors import UserError


@pytest.mark.parametrize(
    "name", ["my-video-index", "copilot-video-demo-index", "a", "my_index", "3F2504E0-4F89-11D3-9A0C-0305E82C3301"]
)
def test_names_of_the_guides(name: str) -> None:
    assert check_index_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "-a", "a-", "a--b", "a b", "a/b", "ä", "a" * 25, "copilot-video-demo-index2",
     "3F2504E0-4F89-11D3-9A0C-0305E82C330",
     "3F2504E0-4F89-11D3-9A0C-0305E82C330G", "..", "a\n"],
)  # fmt: skip
def test_names_that_only_seem_to_work(name: str) -> None:
    with pytest.raises(UserError, match="at most 24"):
        check_index_name(name)


@given(st.text(max_size=60))
def test_a_name_that_passes_needs_no_escape_in_an_address(name: str) -> None:
    try:
        check_index_name(name)
    except UserError:
        return
    assert name.isascii()
    assert name.replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize("id_", ["", " ", "a b", "a\tb", "x" * 257])
def test_ids_that_cannot_be(id_: str) -> None:
    with pytest.raises(UserError, match="id of a document"):
        check_document_id(id_)


def test_an_id_stays_the_same_and_names_its_ingestion() -> None:
    made = document_id("https://acme.blob.core.windows.net/videos/a.mp4")
    assert made == "2d7da82dffabefb5dd896afdc053c364", "ids of yesterday are found tomorrow"
    assert ingestion_name(made) == made
    assert ingestion_name("a/b.mp4").startswith("nightcap-")
