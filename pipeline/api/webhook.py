"""One JSON document to one web address, when a night has ended. Raises nothing, and keeps the address secret."""

import json
from collections.abc import Mapping
from urllib.parse import urlsplit

from pyreqwest.client import Client
from pyreqwest.exceptions import RequestError

from pipeline.api.http.session import close_session, open_session
from pipeline.clock import Clock
from pipeline.errors import UserError

TRIES = 3
TRY_SECONDS = 5.0
PAUSE_SECONDS = 2.0
_WORTH_ANOTHER_TRY = (408, 429)


async def post_document(url: str, document: Mapping[str, object], clock: Clock) -> str | None:
    """Post it; None when it was taken, else why not, without the address's path and query: they are its password.

    Takes at most 19 s.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "it is not a web address"
    # As bytes once: numbers that are no JSON are the caller's mistake, and would be met at the first try.
    body = json.dumps(document, default=str).encode()
    try:
        session = open_session(url, TRY_SECONDS, {"Content-Type": "application/json"})
    except UserError as error:
        return str(error)
    try:
        return await _post(session, url, body, clock)
    finally:
        await close_session(session)


async def _post(session: Client, url: str, body: bytes, clock: Clock) -> str | None:
    host = urlsplit(url).hostname
    trouble: str | None = None
    for number in range(TRIES):
        if number:
            await clock.sleep(PAUSE_SECONDS)
        try:
            async with session.post(url).body_bytes(body).build_streamed() as response:
                status = response.status
        except ValueError:
            return "it is not a web address"
        except TimeoutError:
            trouble = f"{host} did not answer within {TRY_SECONDS:g} s"
            continue
        except RequestError as error:
            trouble = f"{host} cannot be reached ({type(error).__name__})"
            continue
        if status < 300:
            return None
        trouble = f"{host} answered {status}"
        if status < 500 and status not in _WORTH_ANOTHER_TRY:
            break
    return trouble
