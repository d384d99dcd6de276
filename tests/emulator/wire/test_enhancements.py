"""Enhancements and data sources as the guides write them; everything else is refused."""

import pytest

from pipeline.emulator.wire.enhancements import Enhanced, has_extensions, read_enhancements
from pipeline.emulator.wire.errors import Rejected

SOURCE = {"type": "AzureComputerVision", "parameters": {"endpoint": "https://v.example", "key": "k"}}
BOTH = {"ocr": {"enabled": True}, "grounding": {"enabled": True}}


@pytest.mark.parametrize("name", ["dataSources", "data_sources"])
def test_the_guides_body_is_read(name: str) -> None:
    body = {"messages": [], "max_tokens": 100, "enhancements": BOTH, name: [SOURCE]}
    assert read_enhancements(body) == (Enhanced(True, True, "k"), {"messages": [], "max_tokens": 100})


def test_an_ai_services_resource_needs_no_source() -> None:
    assert read_enhancements({"enhancements": {"ocr": {"enabled": False}}}) == (Enhanced(), {})
    assert read_enhancements({"enhancements": {"ocr": {"enabled": True}}})[0] == Enhanced(ocr=True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"enhancements": ["ocr"]}, "expected an object"),
        ({"enhancements": {"ocr": True}}, "enhancements.ocr"),
        ({"enhancements": {"ocr": {"enabled": "yes"}}}, "must be a boolean"),
        ({"enhancements": {"objects": {"enabled": True}}}, "Unknown enhancement 'objects'"),
        ({"dataSources": SOURCE}, "must be a list"),
        ({"dataSources": [SOURCE, SOURCE]}, "must be a list of one"),
        ({"dataSources": [SOURCE | {"type": "AzureCognitiveSearch"}]}, "does not go with an image"),
        ({"dataSources": [{"type": "AzureComputerVision", "parameters": {"endpoint": "https://v"}}]}, "parameters.key"),
        ({"dataSources": [{"type": "AzureComputerVision", "parameters": {"endpoint": "v", "key": "k"}}]}, "valid URL"),
        (
            {"dataSources": [{**SOURCE, "parameters": {**SOURCE["parameters"], "computerVisionApiKey": "k"}}]},
            "computerVisionApiKey",
        ),
    ],
)
def test_other_shapes_are_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(Rejected) as rejected:
        read_enhancements({"enhancements": BOTH, "dataSources": [SOURCE], **change})
    assert rejected.value.error.status == 400
    assert words in rejected.value.error.message


@pytest.mark.parametrize(
    ("version", "has"),
    [
        ("2023-12-01-preview", True),
        ("2024-02-15-preview", True),
        ("2024-03-01-preview", True),
        ("2024-02-01", False),
        ("2024-04-01-preview", False),
        ("2023-09-01-preview", False),
        (None, False),
    ],
)
def test_versions_that_have_the_path(version: str | None, has: bool) -> None:
    assert has_extensions(version) is has
