from pipeline.api.reading.content_filter import read_categories, read_completion_filter, read_error_filter
from pipeline.items import FilterResult


def test_only_verdicts_count() -> None:
    categories = {
        "hate": {"filtered": False, "severity": "Safe"},
        "custom_blocklists": {"filtered": True, "details": []},
        "error": {"code": "content_filter_error", "message": "The contents are not filtered"},
        "violence": {"filtered": "yes"},
        "sexual": None,
    }
    assert list(read_categories(categories, "completion")) == [
        FilterResult("custom_blocklists", None, True, "completion"),
        FilterResult("hate", "safe", False, "completion"),
    ]
    assert list(read_categories(["hate"], "prompt")) == []


def test_a_completion_has_verdicts_on_prompt_and_answer() -> None:
    safe = {"filtered": False, "severity": "safe"}
    document = {"prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {"hate": safe}}, "odd", {}]}
    choice = {"content_filter_results": {"hate": safe}}
    expected = (FilterResult("hate", "safe", False, "prompt"), FilterResult("hate", "safe", False, "completion"))
    assert read_completion_filter(document, choice) == expected


def test_the_older_name_of_the_prompts_verdicts() -> None:
    document = {"prompt_annotations": [{"content_filter_results": {"hate": {"filtered": True, "severity": "high"}}}]}
    assert read_completion_filter(document, {}) == (FilterResult("hate", "high", True, "prompt"),)


def test_other_errors_have_no_verdict() -> None:
    assert read_error_filter({"code": "invalid_image_format", "message": "x", "innererror": "odd"}) is None
    assert read_error_filter({}) is None
