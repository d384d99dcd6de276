from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.api.endpoint import Endpoint, key_variable, resolve_endpoint, split_name, with_deployment
from pipeline.api.entra.clouds import CHINA, GOVERNMENT, PUBLIC
from pipeline.api.options import ModelOptions
from pipeline.errors import UserError

KEY = "sk-proj-Ab12Cd34Ef56Gh78"
OPENAI = {"OPENAI_API_KEY": KEY}
AZURE = {"AZURE_OPENAI_ENDPOINT": "https://res.openai.azure.com", "AZURE_OPENAI_API_KEY": KEY}


def resolve(name: str, environ: Mapping[str, str], base_url: str | None = None, version: str | None = None) -> Endpoint:
    return resolve_endpoint(ModelOptions(name=name, base_url=base_url, api_version=version), environ)


def test_openai() -> None:
    assert resolve("openai:gpt-4o", OPENAI) == Endpoint(
        provider="openai",
        url="https://api.openai.com/v1/chat/completions",
        models_url="https://api.openai.com/v1/models",
        headers={"Authorization": f"Bearer {KEY}"},
        body_model="gpt-4o",
    )
    assert resolve("gpt-4o", OPENAI) == resolve("openai:gpt-4o", OPENAI)


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("http://127.0.0.1:8080/v1", "http://127.0.0.1:8080/v1/chat/completions"),
        ("http://127.0.0.1:8080/v1/", "http://127.0.0.1:8080/v1/chat/completions"),
        ("http://localhost:8080", "http://localhost:8080/chat/completions"),
        ("http://[::1]:8080/v1", "http://[::1]:8080/v1/chat/completions"),
        ("https://host/v1/chat/completions", "https://host/v1/chat/completions"),
        ("https://host/v1/chat/completions/", "https://host/v1/chat/completions"),
    ],
)
@pytest.mark.parametrize("provider", ["openai", "compatible"])
def test_addresses_of_openais_form(provider: str, address: str, url: str) -> None:
    by_option = resolve(f"{provider}:m", OPENAI | {"OPENAI_BASE_URL": "http://elsewhere/v1"}, address)
    assert by_option.url == url
    assert by_option.models_url == url.removesuffix("/chat/completions") + "/models"
    assert resolve(f"{provider}:m", OPENAI | {"OPENAI_BASE_URL": address}).url == url


def test_older_names_of_the_same_variables() -> None:
    older = {"AZURE_OPENAI_API_ENDPOINT": "https://res.openai.azure.com", "AZURE_OPENAI_KEY": KEY}
    assert resolve("azure:d", older) == resolve("azure:d", AZURE)
    dated = older | {"AZURE_OPENAI_API_VERSION": "2024-10-21"}
    assert resolve("azure:d", dated) == resolve("azure:d", AZURE, version="2024-10-21")
    assert resolve("azure:d", dated | {"OPENAI_API_VERSION": "v1"}) == resolve("azure:d", AZURE)
    assert key_variable(ModelOptions(name="azure:d"), older) == "AZURE_OPENAI_KEY"
    both = older | {"AZURE_OPENAI_ENDPOINT": "https://new.openai.azure.com", "AZURE_OPENAI_API_KEY": "b" * 32}
    assert resolve("azure:d", both).url.startswith("https://new.")
    assert resolve("azure:d", both).headers == {"api-key": "b" * 32}


def test_the_older_name_of_openais_address_unless_it_is_azures() -> None:
    older = OPENAI | {"OPENAI_API_BASE": "http://127.0.0.1:8080/v1"}
    assert resolve("gpt-4o", older).url == "http://127.0.0.1:8080/v1/chat/completions"
    assert resolve("compatible:m", older).url == "http://127.0.0.1:8080/v1/chat/completions"
    assert resolve("gpt-4o", older | {"OPENAI_API_TYPE": "azure_ad"}).url.startswith("https://api.openai.com/")


def test_azures_deployment_may_stand_in_the_environment() -> None:
    environ = {"AZURE_OPENAI_DEPLOYMENT_NAME": "captions"}
    assert with_deployment("azure:", environ) == "azure:captions"
    assert with_deployment("azure:own", environ) == "azure:own"
    assert with_deployment("gpt-4o", environ) == "gpt-4o"
    assert with_deployment("azure:", {}) == "azure:"
    with pytest.raises(UserError, match="AZURE_OPENAI_DEPLOYMENT_NAME"):
        split_name("azure:")


def test_an_empty_variable_is_as_good_as_none() -> None:
    assert resolve("gpt-4o", OPENAI | {"OPENAI_BASE_URL": ""}).url == "https://api.openai.com/v1/chat/completions"
    assert "/openai/v1/" in resolve("azure:d", AZURE | {"OPENAI_API_VERSION": ""}).url


def test_a_key_is_needed_for_openai_itself_only() -> None:
    for environ in ({}, {"OPENAI_API_KEY": ""}, {"OPENAI_API_KEY": " \n"}):
        with pytest.raises(UserError, match="OPENAI_API_KEY is not set"):
            resolve("gpt-4o", environ)
    with pytest.raises(UserError, match="OPENAI_API_KEY is not set"):
        resolve("gpt-4o", {}, "https://api.openai.com/v1/")
    assert resolve("compatible:llava:7b", {}, "http://localhost:11434/v1").headers == {}
    assert resolve("openai:gpt-4o", {}, "http://localhost:9/v1").headers == {}


def test_a_compatible_server_needs_an_address() -> None:
    with pytest.raises(UserError, match="--base-url"):
        resolve("compatible:llava", OPENAI)
    assert resolve("compatible:llava:7b", {}, "http://localhost:11434/v1").body_model == "llava:7b"


def test_azure_without_a_date() -> None:
    for environ in (AZURE, AZURE | {"OPENAI_API_VERSION": "v1"}):
        assert resolve("azure:captions", environ) == Endpoint(
            provider="azure",
            url="https://res.openai.azure.com/openai/v1/chat/completions",
            models_url="https://res.openai.azure.com/openai/v1/models",
            headers={"api-key": KEY},
            body_model="captions",
            deployment="captions",
        )


def test_azure_with_a_date() -> None:
    endpoint = resolve("azure:my captions", AZURE | {"OPENAI_API_VERSION": "2024-10-21"})
    assert endpoint == Endpoint(
        provider="azure",
        url="https://res.openai.azure.com/openai/deployments/my%20captions/chat/completions?api-version=2024-10-21",
        models_url="https://res.openai.azure.com/openai/models?api-version=2024-10-21",
        headers={"api-key": KEY},
        body_model=None,
        deployment="my captions",
        api_version="2024-10-21",
    )
    other = resolve("azure:d", AZURE | {"OPENAI_API_VERSION": "2024-10-21"}, version="2025-04-01-preview")
    assert other.url.endswith("?api-version=2025-04-01-preview")


@pytest.mark.parametrize(
    ("address", "base"),
    [
        ("https://res.openai.azure.com/", "https://res.openai.azure.com"),
        ("https://res.openai.azure.us", "https://res.openai.azure.us"),
        ("https://res.openai.azure.cn/openai/v1/", "https://res.openai.azure.cn"),
        ("https://res.openai.azure.com/openai/v1", "https://res.openai.azure.com"),
        ("https://res.openai.azure.com/openai", "https://res.openai.azure.com"),
        ("https://res.openai.azure.com/openai/v1/chat/completions", "https://res.openai.azure.com"),
        ("https://res.openai.azure.com/openai/deployments/d/chat/completions", "https://res.openai.azure.com"),
        ("https://res.cognitiveservices.azure.com/", "https://res.cognitiveservices.azure.com"),
        ("https://gateway.example/team/openai/v1", "https://gateway.example/team"),
        ("https://gateway.example/my-openai", "https://gateway.example/my-openai"),
        ("http://openai/openai/v1", "http://openai"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
    ],
)
def test_azure_addresses_in_the_forms_people_copy(address: str, base: str) -> None:
    by_variable = resolve("azure:d", AZURE | {"AZURE_OPENAI_ENDPOINT": address})
    assert by_variable.url == f"{base}/openai/v1/chat/completions"
    assert resolve("azure:d", AZURE, address) == by_variable
    dated = resolve("azure:d", AZURE, address, "2024-10-21")
    assert dated.url == f"{base}/openai/deployments/d/chat/completions?api-version=2024-10-21"


def test_azure_names_the_variable_that_is_missing() -> None:
    with pytest.raises(UserError, match="AZURE_OPENAI_ENDPOINT is not set"):
        resolve("azure:d", {"AZURE_OPENAI_API_KEY": KEY})
    keyless = {"AZURE_OPENAI_ENDPOINT": "https://res.openai.azure.com"} | OPENAI
    with pytest.raises(UserError, match="AZURE_OPENAI_API_KEY is not set"):
        resolve_endpoint(ModelOptions(name="azure:d"), keyless, auth="key")
    with pytest.raises(UserError, match="EAST_KEY is not set"):
        resolve_endpoint(ModelOptions(name="azure:d"), keyless, "EAST_KEY")


def test_azure_without_a_key_is_shown_tokens_of_its_cloud() -> None:
    for domain, cloud in (("com", PUBLIC), ("us", GOVERNMENT), ("cn", CHINA)):
        keyless = {"AZURE_OPENAI_ENDPOINT": f"https://res.openai.azure.{domain}", "OPENAI_API_VERSION": "2024-10-21"}
        endpoint = resolve("azure:d", keyless)
        assert (endpoint.cloud, endpoint.headers) == (cloud, {})
        keyed = resolve("azure:d", keyless | {"AZURE_OPENAI_API_KEY": KEY})
        assert (keyed.cloud, keyed.headers, keyed.url) == (None, {"api-key": KEY}, endpoint.url)
        with_both = resolve_endpoint(
            ModelOptions(name="azure:d"), keyless | {"AZURE_OPENAI_API_KEY": KEY}, auth="entra"
        )
        assert with_both == endpoint


def test_tokens_are_for_azure_alone() -> None:
    with pytest.raises(UserError, match="auth = 'entra' is for Azure"):
        resolve_endpoint(ModelOptions(name="openai:gpt-4o"), OPENAI, auth="entra")


@pytest.mark.parametrize(
    "address",
    [
        "localhost:11434/v1",
        "ftp://host/v1",
        "host",
        "http://",
        "http:///v1",
        "http://[::1/v1",
        "http://host:port/v1",
        "http://host:99999/v1",
        "https://.openai.azure.com",
        f"http://{'a' * 64}.example/v1",
        "http://host name/v1",
        "http://host/v1\n",
        "https://user:hunter2@host/v1",
        "user:hunter2@host/v1",
        "https://host/v1?sig=hunter2",
        "https://host/v1#hunter2",
        "https://res.openai.azure.com/openai/deployments/d/chat/completions?api-version=2024-10-21",
    ],
)
@pytest.mark.parametrize("name", ["openai:m", "compatible:m", "azure:m"])
def test_an_address_that_cannot_work_is_refused_without_showing_its_secret(name: str, address: str) -> None:
    with pytest.raises(UserError, match="address") as caught:
        resolve(name, OPENAI | AZURE, address)
    assert "hunter2" not in str(caught.value)


def test_a_key_read_from_a_file_loses_its_line_break() -> None:
    assert resolve("gpt-4o", {"OPENAI_API_KEY": f"{KEY}\r\n"}).headers == {"Authorization": f"Bearer {KEY}"}


@pytest.mark.parametrize("key", ["sk-ab\ncd", "sk-ab cd", "sk-äb", "sk-\x00ab", "“sk-ab”"])
def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(key: str) -> None:
    for name, variable in (("gpt-4o", "OPENAI_API_KEY"), ("azure:d", "AZURE_OPENAI_API_KEY")):
        with pytest.raises(UserError, match=variable) as caught:
            resolve(name, AZURE | {variable: key})
        assert key not in str(caught.value)


@pytest.mark.parametrize(("name", "environ"), [("gpt-4o", OPENAI), ("azure:d", AZURE)])
def test_the_key_is_in_no_repr(name: str, environ: Mapping[str, str]) -> None:
    assert KEY not in repr(resolve(name, environ))


@pytest.mark.parametrize(
    ("name", "halves"),
    [("gpt-4o", ("openai", "gpt-4o")), ("azure:d", ("azure", "d")), ("compatible:a:b", ("compatible", "a:b"))],
)
def test_names(name: str, halves: tuple[str, str]) -> None:
    assert split_name(name) == halves


def test_names_that_name_nothing() -> None:
    with pytest.raises(UserError, match="no model after the colon"):
        split_name("azure:")
    for name in ("ft:gpt-4o:org", ":gpt-4o", "builtin:describe"):
        with pytest.raises(UserError, match="Unknown provider"):
            resolve(name, OPENAI)


def outcome(name: str, address: str) -> str:
    try:
        return resolve(name, OPENAI | AZURE, address).url
    except UserError as error:
        return str(error)


@given(st.sampled_from(["", "http://", "https://host/"]), st.text(), st.sampled_from(["openai:m", "azure:m"]))
def test_every_address_gives_a_url_or_a_sentence(prefix: str, rest: str, name: str) -> None:
    told = outcome(name, prefix + rest)
    assert told.endswith((".", "/chat/completions"))
    told.encode()
