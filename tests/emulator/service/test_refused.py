"""Requests that are wrong, whatever is wrong with them."""

import json

from hypothesis import example, given
from hypothesis import strategies as st

from tests.emulator.service.asking import Asking, azure, error_of, openai, picture, request


def test_keys():
    ask = Asking(api_key="right")
    assert ask(openai(request(), key="right")).status == 200
    assert error_of(ask(openai(request(), key="wrong")))["code"] == "invalid_api_key"
    assert "didn't provide" in error_of(ask(openai(request())))["message"]
    refused = ask(azure(request()))
    assert refused.status == 401
    assert error_of(refused)["code"] == "401"
    assert "right" not in repr(ask.service.options)


def test_unknown_models_and_deployments():
    ask = Asking(deployments={"captions": "gpt-4o"})
    assert (ask(openai(request(model="gpt-4oo"))).status, ask.service.stats.asked.total()) == (404, 0)
    assert error_of(ask(openai(request(model="gpt-4oo"))))["code"] == "model_not_found"
    assert error_of(ask(azure(request(), deployment="other")))["code"] == "DeploymentNotFound"
    assert ask(azure(request(model="captions"), deployment=None, version=None)).status == 200
    assert "model parameter" in error_of(ask(openai(request(model=None))))["message"]
    assert "image_url is only supported" in error_of(ask(openai(request(model="gpt-3.5-turbo"))))["message"]
    assert "v1/responses" in error_of(ask(openai(request(model="o1-pro"))))["message"]


def test_what_is_not_json():
    ask = Asking()
    assert "could not parse" in error_of(ask(openai(b"{")))["message"]
    assert "could not parse" in error_of(ask(openai(b"[1]")))["message"]
    assert "could not parse" in error_of(ask(openai(b"[" * 200_000)))["message"]
    assert error_of(ask(openai(request(), content_type="text/plain")))["code"] == "unsupported_content_type"


def test_a_prompt_longer_than_the_context():
    outcome = Asking(model="gpt-4o")(
        openai(request(model="gpt-4o", messages=[{"role": "user", "content": "ab " * 140_000}]))
    )
    assert error_of(outcome)["code"] == "context_length_exceeded"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
SMALL = json.loads(
    request(picture(8, 8), response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {}}})
)


def paths_of(value, path=()):
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from paths_of(value[key], (*path, key))


@given(st.sampled_from([openai, azure]), st.sampled_from(list(paths_of(SMALL))), values)
@example(openai, ("messages", 0, "content"), "\ud800")
@example(openai, ("response_format", "json_schema", "schema"), {"type": [], "enum": [], "anyOf": []})
def test_no_request_is_beyond_it(provider, path, value):
    """Whatever stands in whatever place of a request, there is an answer or an error of the client's."""
    body = value
    for index in range(len(path), 0, -1):
        holder = SMALL
        for key in path[: index - 1]:
            holder = holder[key]
        holder = dict(holder) if isinstance(holder, dict) else list(holder)
        holder[path[index - 1]] = body
        body = holder
    outcome = Asking()(provider(json.dumps(body).encode()))
    assert outcome.status in (200, 400, 404)
    json.loads(outcome.body)
