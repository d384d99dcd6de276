"""Real object stores on this machine: moto's server for S3, npm's azurite for Azure Blob Storage, each a process.

moto comes with the extra `dev`. azurite is looked for on PATH and in `AZURITE_FOLDER`; tests that need it are skipped
where it is not: `npm install --prefix ~/.cache/nightcap-tests azurite`.
"""

import base64
import hashlib
import hmac
import shutil
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import Literal

import platformdirs
import pytest

from tests.helpers.servers import launch

AZURITE_FOLDER = platformdirs.user_cache_path("nightcap-tests") / "node_modules" / ".bin"

# Those of every azurite in the world.
AZURITE_ACCOUNT = "devstoreaccount1"
AZURITE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_API_VERSION = "2021-08-06"
_SAS_VERSION = "2020-12-06"


@dataclass(frozen=True, slots=True)
class ObjectServer:
    """A store that answers on this machine, and holds nothing at first."""

    scheme: Literal["s3", "az"]
    endpoint: str
    """`http://127.0.0.1:PORT`, with the account for Azure."""
    environ: Mapping[str, str]
    """Its address and credentials, under the names that a user sets."""
    pid: int

    def create(self, name: str) -> str:
        """A new bucket or container; its URL, `s3://NAME`."""
        if self.scheme == "s3":
            _ask("PUT", f"{self.endpoint}/{name}", {})
        else:
            _ask("PUT", f"{self.endpoint}/{name}?restype=container", _signed(name))
        return f"{self.scheme}://{name}"


@contextmanager
def moto_server() -> Iterator[ObjectServer]:
    """An S3 that accepts every key."""
    with launch([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]) as process:
        environ = {
            "AWS_ENDPOINT_URL": process.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
        }
        yield ObjectServer("s3", process.endpoint, environ, process.pid)


@contextmanager
def azurite_server() -> Iterator[ObjectServer]:
    """An Azure Blob Storage that knows one account and keeps everything in memory."""
    command = _azurite()
    if command is None:
        pytest.skip(f"azurite is not installed: npm install --prefix {AZURITE_FOLDER.parents[1]} azurite")
    options = ("--inMemoryPersistence", "--skipApiVersionCheck", "--silent", "--disableTelemetry")
    with launch([str(command), "--blobHost", "127.0.0.1", "--blobPort", "0", *options]) as process:
        endpoint = f"{process.endpoint}/{AZURITE_ACCOUNT}"
        environ = {
            "AZURE_STORAGE_ACCOUNT_NAME": AZURITE_ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": AZURITE_KEY,
            "AZURE_STORAGE_ENDPOINT": endpoint,
        }
        yield ObjectServer("az", endpoint, environ, process.pid)


def _azurite() -> Path | None:
    found = shutil.which("azurite-blob") or shutil.which("azurite-blob", path=str(AZURITE_FOLDER))
    return Path(found) if found else None


def _signed(container: str) -> dict[str, str]:
    """Headers of a request that creates a container: "Authorize with Shared Key" in Microsoft's documentation."""
    date = formatdate(usegmt=True)
    headers = f"x-ms-date:{date}\nx-ms-version:{_API_VERSION}"
    resource = f"/{AZURITE_ACCOUNT}/{AZURITE_ACCOUNT}/{container}\nrestype:container"
    text = "\n".join(["PUT", *[""] * 11, headers, resource])
    return {
        "x-ms-date": date,
        "x-ms-version": _API_VERSION,
        "Authorization": f"SharedKey {AZURITE_ACCOUNT}:{_signature(text)}",
    }


def shared_access(container: str, permissions: str = "racwdl", ends: str = "2099-01-01T00:00:00Z") -> str:
    """A signature for a container of azurite, as a URL's query: "Create a service SAS" in Microsoft's documentation."""
    resource = f"/blob/{AZURITE_ACCOUNT}/{container}"
    text = "\n".join([permissions, "", ends, resource, "", "", "", _SAS_VERSION, "c", *[""] * 7])
    given = {"sp": permissions, "se": ends, "sv": _SAS_VERSION, "sr": "c", "sig": _signature(text)}
    return urllib.parse.urlencode(given)


def _signature(text: str) -> str:
    digest = hmac.new(base64.b64decode(AZURITE_KEY), text.encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def _ask(method: str, url: str, headers: dict[str, str]) -> None:
    with urllib.request.urlopen(urllib.request.Request(url, method=method, headers=headers), timeout=30):
        pass
