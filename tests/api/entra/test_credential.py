"""What is said when azure-identity gives no token."""

import subprocess
import sys

import pytest

from pipeline.api.entra.clouds import PUBLIC
from pipeline.api.entra.credential import DefaultCredential
from pipeline.items import Failure

VARIABLES = ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "IDENTITY_ENDPOINT", "IDENTITY_HEADER")


async def said(monkeypatch: pytest.MonkeyPatch, kind: str, **environ: str) -> str:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", kind)
    credential = DefaultCredential(PUBLIC)
    token = await credential.get_token()
    await credential.close()
    assert isinstance(token, Failure)
    assert token.reason == "credentials_refused"
    return token.message


async def test_none_is_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    told = await said(monkeypatch, "environmentcredential")
    assert "AZURE_OPENAI_API_KEY is not set, and no credential of Entra ID is set up either" in told
    assert told.endswith("`az login`. EnvironmentCredential: Environment variables are not fully configured.")
    assert "\n" not in told


async def test_one_is_set_up_and_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    told = await said(
        monkeypatch, "prod", AZURE_TENANT_ID="tenant", AZURE_CLIENT_ID="me", AZURE_CLIENT_SECRET="hunter2",
        HTTPS_PROXY="http://127.0.0.1:9",
    )  # fmt: skip
    assert told.startswith("Entra ID gives no token. EnvironmentCredential: ")
    assert "hunter2" not in told


def test_without_the_extra() -> None:
    script = """
import sys
sys.modules["azure.identity.aio"] = None
from pipeline.api.entra.credential import DefaultCredential
from pipeline.api.entra.clouds import PUBLIC
try:
    DefaultCredential(PUBLIC)
except Exception as error:
    print(type(error).__name__, error)
"""
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert told.startswith("MissingExtra AZURE_OPENAI_API_KEY is not set")
    assert "pip install 'nightcap[azure]'" in told
