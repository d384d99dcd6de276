"""Who gives tokens: azure-identity's default chain (environment, workload or managed identity, az login).

The only file that knows azure-identity (extra `azure`). That library reads its variables from the process's own
environment: AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET and their siblings.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from pipeline.api.entra.clouds import Cloud
from pipeline.errors import MissingExtra
from pipeline.items import Failure
from pipeline.texts import redact

NO_TOKEN = "no_token"
"""Code of the failure when nobody gave a token: no endpoint has refused anything."""


@dataclass(frozen=True, slots=True)
class Token:
    """What an endpoint is shown in place of a key."""

    text: str = field(repr=False)
    expires_on: float
    """Seconds since the Unix epoch."""


class Credential(Protocol):
    """Proves who we are."""

    async def get_token(self) -> Token | Failure:
        """A token, maybe one that it gave before."""
        ...

    async def close(self) -> None: ...


OpenCredential = Callable[[Cloud], Credential]


class DefaultCredential:
    """The first of Azure's credentials that is set up on this machine."""

    def __init__(self, cloud: Cloud) -> None:
        """Raises MissingExtra without azure-identity."""
        try:
            from azure.identity.aio import DefaultAzureCredential
        except ImportError:
            raise MissingExtra(
                "AZURE_OPENAI_API_KEY is not set; access to Azure without a key, by Entra ID,", "azure"
            ) from None
        # It tells each attempt, some over several lines; what matters of it is told here.
        logging.getLogger("azure").setLevel(logging.ERROR)
        self._scope = cloud.scope
        self._chain = DefaultAzureCredential(authority=cloud.authority)

    @property
    def found(self) -> str:
        """Which one gave the token."""
        # Nothing public tells it but a line of the library's log.
        return type(getattr(self._chain, "_successful_credential", None) or self._chain).__name__

    async def get_token(self) -> Token | Failure:
        from azure.core.exceptions import AzureError, ClientAuthenticationError

        try:
            found = await self._chain.get_token(self._scope)
        except ClientAuthenticationError as error:
            told = _explained(str(error.message), len(self._chain.credentials))
            return Failure("credentials_refused", told, code=NO_TOKEN)
        except (AzureError, OSError) as error:
            return Failure("unreachable", f"No connection to Entra ID: {redact(str(error))}", code=NO_TOKEN)
        return Token(found.token, found.expires_on)

    async def close(self) -> None:
        await self._chain.close()


def _explained(message: str, credentials: int) -> str:
    """The chain's own report, in which each attempt has an indented line `NAME: WHY`, in a sentence.

    It passes over those that are not set up and ends at the first that is and fails: that one matters.
    """
    attempts = [line.strip() for line in message.split("\n\t")[1:]]
    attempts = [" ".join(attempt.partition("\nTo mitigate")[0].split()) for attempt in attempts]
    if not attempts:
        return f"Entra ID gives no token: {redact(' '.join(message.split()))}"
    if len(attempts) < credentials:
        return f"Entra ID gives no token. {redact(attempts[-1])}"
    return (
        "AZURE_OPENAI_API_KEY is not set, and no credential of Entra ID is set up either: export AZURE_TENANT_ID, "
        "AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, use a managed identity, or `az login`. "
        + redact("; ".join(map(_briefly, attempts)))
        + "."
    )


def _briefly(attempt: str) -> str:
    """`NAME: NAME authentication unavailable. WHY. WHAT TO READ` as `NAME: WHY`."""
    name, _, why = attempt.partition(": ")
    why = why.removeprefix(f"{name} ").removeprefix("authentication unavailable. ")
    return f"{name}: {why.partition('. ')[0].rstrip('.')}"
