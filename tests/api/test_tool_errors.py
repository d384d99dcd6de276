import json

import pytest

from pipeline.api.reading.replies import read_response
from pipeline.items import Failure, Reply

# As users saw them: https://github.com/Azure-Samples/azureai-samples/issues/114, MicrosoftDocs/azure-docs/issues/121051
NO_SOURCE = (
    "{\"ErrorMessage\":The 'video' enhancement requires a data source of type 'AzureComputerVisionVideoIndex'.,"
    '"ErrorCode": 400}'
)
NO_DOCUMENT = (
    "Retrieving frames from your video\n{\"ErrorMessage\":'Video sampling' failed: Document does not exist.,"
    '"ErrorCode": 404}'
)


def answered(choice: object) -> Reply | Failure:
    return read_response(200, {}, json.dumps({"choices": [choice]}).encode())


@pytest.mark.parametrize(
    ("content", "reason", "told"),
    [
        (NO_SOURCE, "rejected:400", "requires a data source"),
        (NO_DOCUMENT, "rejected:document_not_found", "Document does not exist."),
        ('{"ErrorMessage":Too many,"ErrorCode": 429}', "rate_limited", "Too many"),
        ('{"ErrorMessage":Down,"ErrorCode": 503}', "server_error", "Down"),
    ],
)
def test_errors_where_an_answer_should_be(content: str, reason: str, told: str) -> None:
    found = answered({"messages": [{"delta": {"role": "tool", "content": content}}]})
    assert isinstance(found, Failure)
    assert found.reason == reason
    assert told in found.message
    same = answered({"message": {"role": "assistant", "content": content}})
    assert isinstance(same, Failure), "an error text never stands in a caption"


@pytest.mark.parametrize("content", ["A sign says ErrorCode 404.", '{"ErrorMessage": "x"}', None, 7])
def test_captions_that_only_look_like_it(content: object) -> None:
    found = answered({"message": {"role": "assistant", "content": content}, "messages": "x", "delta": []})
    assert isinstance(found, Reply)
