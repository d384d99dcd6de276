"""A credential that gives the emulator's tokens, by a clock that a test moves."""

from pipeline.api.entra.clouds import Cloud
from pipeline.api.entra.credential import Token
from pipeline.clock import Clock
from pipeline.emulator.wire.entra import issue
from pipeline.items import Failure


class FakeCredential:
    """Gives a new token each time, or `trouble`. It is its own `open_credential`: one for all clouds."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self.seconds = seconds
        self.trouble: Failure | None = None
        self.given: list[str] = []
        self.asked = 0
        self.opened = 0

    def open(self, cloud: Cloud) -> "FakeCredential":
        self.opened += 1
        self._resource = cloud.scope.removesuffix("/.default")
        return self

    async def get_token(self) -> Token | Failure:
        self.asked += 1
        await self._clock.sleep(0.2)  # Entra ID is far away
        if self.trouble:
            return self.trouble
        text, expires_on = issue(self._resource, int(self._clock.time()), self.seconds)
        text += f"-{self.asked}"  # two of the same second differ
        self.given.append(text)
        return Token(text, expires_on)

    async def close(self) -> None: ...
