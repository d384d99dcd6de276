"""Sessions of pyreqwest, in whose own thread requests run: those that are encrypted, go through a proxy, or are few."""

import asyncio
import re
from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import BuilderError
from pyreqwest.proxy import ProxyBuilder

from pipeline.errors import UserError

USER_AGENT = "nightcap"
ACCEPT_ENCODING = "gzip,deflate"
CONNECT_SECONDS = 20.0
# A server closes what is idle, and a request that meets the closing is lost: many wait 60 s and more, few less.
IDLE_SECONDS = 15.0

# Until a thread that has just woken us is out of the interpreter; see `close_session`.
_SETTLE_SECONDS = 0.01

_LOOPBACK = re.compile(r"localhost|127(\.\d+){3}|::1", re.I)


def open_session(url: str, timeout_seconds: float, headers: Mapping[str, str]) -> Client:
    """A session for requests to the host of `url`, over HTTP/1.1. `headers` go with each.

    No request leaves twice: one is sent again only when its connection was gone before a byte of it was written. One
    whose task is cancelled before its answer begins is not cut off; it ends as the server lets it, or at its timeout.
    """
    proxy = proxy_for(url)
    try:
        builder = (
            ClientBuilder()
            .user_agent(USER_AGENT)
            .default_headers(headers)
            .timeout(timedelta(seconds=timeout_seconds))
            .connect_timeout(timedelta(seconds=CONNECT_SECONDS))
            .pool_idle_timeout(timedelta(seconds=IDLE_SECONDS))
            # A redirect would carry the key and the image to another host.
            .follow_redirects(False)
            .brotli(False)
            .zstd(False)
            .no_proxy()
        )
        if proxy:
            builder = builder.proxy(ProxyBuilder.all(proxy))
    except ValueError:
        raise UserError("The proxy that the environment names is no address; it looks like http://HOST:PORT.") from None
    if {urlsplit(address).scheme for address in (url, proxy) if address} == {"http"}:
        # No certificate will be seen, and without this a machine that has none to trust could not ask even itself.
        builder = builder.danger_accept_invalid_certs(True)
    try:
        return builder.build()
    except BuilderError:
        raise UserError(
            "This machine has no certificates to trust; install its ca-certificates or name a file in SSL_CERT_FILE."
        ) from None


async def close_session(session: Client) -> None:
    """End it and its idle connections.

    Its requests run in a thread of their own, which may still be waking a task, and Python before 3.14 aborts when it
    exits meanwhile: 23 of 300 exits right after a request, with a pause 0 of 300.
    """
    await session.close()
    await asyncio.sleep(_SETTLE_SECONDS)


def obey_cancellation() -> None:
    """Raise what pyreqwest swallows when an answer and a cancellation meet, or a cancelled task would never end."""
    task = asyncio.current_task()
    if task and task.cancelling():
        raise asyncio.CancelledError


def proxy_for(url: str) -> str | None:
    """The proxy that the environment names for `url`."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    # What is on this machine, a local server or a rehearsal's, no proxy could reach.
    if _LOOPBACK.fullmatch(host) or proxy_bypass(host):
        return None
    proxy = getproxies().get(parts.scheme)
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy
