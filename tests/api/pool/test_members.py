"""From [model], [limits] and [[endpoint]] to who is asked."""

import pytest

from pipeline.api.options import EndpointOptions, LimitOptions, ModelOptions
from pipeline.api.pool.members import MemberOptions, members_of
from pipeline.errors import UnknownModel, UserError

AZURE = ModelOptions(name="azure:captions", azure_model="gpt-4o", base_url="https://one", api_version="2024-10-21")


def test_without_entries_there_is_the_one_that_the_job_describes() -> None:
    limits = LimitOptions(rpm=600)
    assert members_of(AZURE, limits, ()) == (MemberOptions("", AZURE, limits),)


def test_what_an_entry_leaves_out_is_as_the_job_has_it() -> None:
    keys, named, other = members_of(
        AZURE,
        LimitOptions(rpm=600, timeout_seconds=30),
        [
            EndpointOptions(key_env="SECOND_KEY"),
            EndpointOptions(name="east", model="azure:east", base_url="https://east", rpm=60, priority=2),
            EndpointOptions(model="openai:gpt-4o-2024-11-20"),
        ],
    )
    assert keys == MemberOptions("endpoint 1", AZURE, LimitOptions(rpm=600, timeout_seconds=30), "SECOND_KEY")
    assert (named.name, named.priority, named.limits.rpm, named.limits.timeout_seconds) == ("east", 2, 60, 30)
    assert (named.model.name, named.model.azure_model) == ("azure:east", "gpt-4o")
    assert (named.model.base_url, named.model.api_version) == ("https://east", "2024-10-21")
    assert (other.model.azure_model, other.model.base_url) == (None, None), "those of a deployment are not its own"


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([EndpointOptions(model="openai:gpt-4o"), EndpointOptions(model="openai:gpt-4o-mini")], "the same model"),
        (
            [EndpointOptions(model="openai:gpt-4o"), EndpointOptions(model="azure:x", azure_model="gpt-4.1")],
            "same model",
        ),
        ([EndpointOptions(name="a"), EndpointOptions(name="a")], "'a'"),
        ([EndpointOptions(model="builtin:describe")], "names no model that an endpoint serves"),
    ],
)
def test_entries_that_do_not_fit_together(entries: list[EndpointOptions], words: str) -> None:
    with pytest.raises(UserError, match=words):
        members_of(AZURE, LimitOptions(), entries)


def test_an_unknown_model_is_named() -> None:
    with pytest.raises(UnknownModel, match="azure:captions"):
        members_of(ModelOptions(), LimitOptions(), [EndpointOptions(model="azure:captions")])


@pytest.mark.parametrize("key", ["sk-proj-Ab12Cd34Ef56Gh78", "a0b1c2d3e4f5a0b1c2d3e4f5a0b1c2d3", "my key", ""])
def test_a_key_in_place_of_its_variable_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(UserError) as caught:
        EndpointOptions(key_env=key)
    assert not key or key not in str(caught.value)


def test_a_key_and_tokens_at_once_are_a_mistake() -> None:
    with pytest.raises(UserError, match="leave one out"):
        EndpointOptions(key_env="EAST_KEY", auth="entra")


def test_limits_of_an_entry_are_checked_as_those_of_the_job() -> None:
    with pytest.raises(UserError, match="rpm"):
        EndpointOptions(rpm=-1)
    with pytest.raises(UserError, match="request_windows"):
        EndpointOptions(request_windows=(0.5,))
