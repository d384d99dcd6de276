"""The token that an endpoint is shown in place of a key, renewed before it expires. Told the time."""

import asyncio
import logging
from functools import partial
from types import TracebackType
from typing import Self

from pipeline.api.entra.clouds import Cloud
from pipeline.api.entra.credential import Credential, DefaultCredential, OpenCredential, Token
from pipeline.clock import Clock
from pipeline.items import Failure
from pipeline.texts import one_line

log = logging.getLogger(__name__)

# Entra ID's live for an hour or longer. Five minutes are time enough for ten attempts to renew one.
RENEW_SECONDS = 300.0
AGAIN_SECONDS = 30.0


class Tokens:
    """Tokens of one cloud, shared by its endpoints; an async context manager."""

    def __init__(self, cloud: Cloud, clock: Clock, open_credential: OpenCredential = DefaultCredential) -> None:
        """Raises MissingExtra without the extra `azure`."""
        self._open = partial(open_credential, cloud)
        self._clock = clock
        self._credential: Credential = self._open()
        self._token: Token | None = None
        self._again_at = 0.0
        self._renewing = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._credential.close()

    async def get(self) -> str | Failure:
        """A token that has not expired. While one is renewed, others go on with the old one."""
        token, now = self._token, self._clock.time()
        fresh = token and now < token.expires_on - RENEW_SECONDS
        if token and (fresh or (now < token.expires_on and (now < self._again_at or self._renewing.locked()))):
            return token.text
        async with self._renewing:
            if self._token and self._token is not token:
                return self._token.text
            return await self._renew()

    async def instead_of(self, refused: str) -> str | Failure:
        """Another one than this, which an endpoint has refused; the same when there is no other."""
        async with self._renewing:
            if self._token and self._token.text != refused:
                return self._token.text
            # A credential keeps what it has given, and would give it again.
            await self._credential.close()
            self._credential = self._open()
            self._token = None
            return await self._renew()

    async def _renew(self) -> str | Failure:
        now = self._clock.time()
        self._again_at = now + AGAIN_SECONDS
        found = await self._credential.get_token()
        if isinstance(found, Token):
            self._token = found
            return found.text
        if self._token and now < self._token.expires_on:
            minutes = (self._token.expires_on - now) / 60
            log.warning("The token of Entra ID cannot be renewed, it is good for %.0f minutes: %s", minutes,
                        one_line(found.message))  # fmt: skip
            return self._token.text
        return found
