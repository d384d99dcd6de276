"""The tripwire of conftest.py: no test reaches another machine, whatever it uses to get there."""

import os
import socket
import urllib.request

import aiohttp
import pytest

from pipeline.api.client import Client
from pipeline.api.endpoint import Endpoint

ELSEWHERE = ["http://192.0.2.1:9", "http://[2001:db8::1]:9", "http://example.invalid"]


@pytest.mark.parametrize("url", ELSEWHERE)
async def test_aiohttp_is_stopped(url):
    async with aiohttp.ClientSession() as session:
        with pytest.raises(pytest.fail.Exception, match="reach only"):
            await session.get(url)


@pytest.mark.parametrize("url", ELSEWHERE)
async def test_our_client_is_stopped(url):
    with pytest.raises(pytest.fail.Exception, match="reach only"):
        async with Client(Endpoint("openai", url, url, {}, "m"), 1.0) as client:
            await client.post(b"{}")


@pytest.mark.parametrize("url", ELSEWHERE)
def test_plain_sockets_are_stopped(url):
    with pytest.raises(pytest.fail.Exception, match="reach only"):
        urllib.request.urlopen(url, timeout=1)


def test_this_machine_is_reached():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        pass


def test_no_account_is_in_the_environment():
    assert not [name for name in os.environ if name.startswith(("OPENAI_", "AZURE_", "AWS_", "GOOGLE_"))]
