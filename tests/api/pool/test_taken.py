from pipeline.api.options import EndpointOptions, LimitOptions, ModelOptions
from pipeline.api.pool.members import members_of
from pipeline.api.pool.taken import request_limits


def test_the_strictest_of_all_endpoints_holds_and_azures_version_may_stand_in_the_environment() -> None:
    members = members_of(
        ModelOptions(name="openai:gpt-4-turbo"),
        LimitOptions(),
        [EndpointOptions(name="first"), EndpointOptions(name="second", model="azure:d", azure_model="gpt-4-turbo")],
    )
    limits = request_limits(members, {"OPENAI_API_VERSION": "2023-12-01-preview"})
    assert limits.image_bytes is not None
    assert limits.image_bytes.most == 4_000_000
    assert limits.request_bytes is not None  # OpenAI's, as Azure tells none
    assert limits.request_bytes.most == 50_000_000
    today = request_limits(members, {})
    assert today.image_bytes is not None
    assert today.image_bytes.most == 20_000_000


def test_a_known_compatible_server_has_its_own_limits() -> None:
    [member] = members_of(
        ModelOptions(name="compatible:claude-haiku-4-5", base_url="https://api.anthropic.com/v1"), LimitOptions(), ()
    )
    assert request_limits([member], {}).side_px() is not None
    [other] = members_of(ModelOptions(name="compatible:claude-haiku-4-5"), LimitOptions(), ())
    assert request_limits([other], {"OPENAI_BASE_URL": "http://localhost:8000/v1"}).side_px() is None
