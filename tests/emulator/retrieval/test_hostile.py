"""Bodies of any shape are read or refused, never anything else."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.emulator.retrieval.reading import read_index, read_ingestion, read_query
from pipeline.emulator.wire.errors import Rejected
from pipeline.emulator.wire.video import read_video

NAMES = st.sampled_from([
    "metadataSchema", "fields", "features", "userData", "name", "type", "searchable", "filterable", "videos", "mode",
    "documentId", "documentUrl", "metadata", "documentAuthenticationKind", "queryText", "filters", "stringFilters",
    "datetimeFilters", "featureFilters", "fieldName", "values", "top", "skip", "cameraid",
    "dataSources", "parameters", "indexName", "videoUrls", "messages", "content", "acv_document_id", "role",
    "computerVisionApiKey", "endpoint",
])  # fmt: skip
PLAIN = st.none() | st.booleans() | st.integers() | st.sampled_from([
    "", "add", "vision", "speech", "string", "cameraid", "https://h/a.mp4", "managedidentity", "acv_document_id",
    "AzureComputerVisionVideoIndex",
])  # fmt: skip
JSON = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4))
BODY = st.dictionaries(NAMES, JSON, max_size=4)
FIELDS = frozenset(["cameraid"])


@given(BODY)
def test_the_retrieval_service(body: dict[str, Any]) -> None:
    for read in (lambda: read_index(body, "a"), lambda: read_ingestion(body, FIELDS), lambda: read_query(body, FIELDS)):
        with suppress(Rejected):
            read()


@given(BODY)
def test_a_video_prompt(body: dict[str, Any]) -> None:
    with suppress(Rejected):
        read_video({**body, "enhancements": {"video": {"enabled": True}}})


@pytest.mark.parametrize("videos", [[1], [{}], {"a": 1}, [{"mode": "add", "documentId": "a", "documentUrl": 7}]])
def test_videos_that_are_none(videos: object) -> None:
    with pytest.raises(Rejected):
        read_ingestion({"videos": videos}, FIELDS)
