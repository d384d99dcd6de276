"""Real object stores on this machine: moto's server for S3, Azurite for Azure.

Google's emulators have no XML interface, which obstore speaks; it is much like S3's, so moto's server stands in.
Azurite is npm's: installed once into the user's cache folder, or the test is skipped. `python -m
tests.helpers.object_stores` installs it ahead of the tests.
"""

import base64
import hashlib
import hmac
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.helpers.servers import launch

AZURITE = "azurite@3.35.0"
INSTALL_SECONDS = 110
# Azurite's own, the same everywhere: https://learn.microsoft.com/azure/storage/common/storage-use-azurite
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@dataclass(frozen=True, slots=True)
class ObjectServer:
    """An object store, and what the environment must say to use it."""

    scheme: str
    endpoint: str
    """`http://127.0.0.1:PORT`, of the server or of a proxy before it."""
    environ: Mapping[str, str]

    def url(self, bucket: str) -> str:
        return f"{self.scheme}://{bucket}"

    def create(self, bucket: str) -> str:
        """A new bucket; its URL."""
        if self.scheme == "az":
            url = f"{self.endpoint}/{ACCOUNT}/{bucket}?restype=container&{account_sas('c')}"
        else:
            url = f"{self.endpoint}/{bucket}"
        urllib.request.urlopen(urllib.request.Request(url, method="PUT"), timeout=30).close()
        return self.url(bucket)


def s3_server(endpoint: str) -> ObjectServer:
    return ObjectServer(
        "s3",
        endpoint,
        {"AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"},
    )


def gcs_server(endpoint: str) -> ObjectServer:
    return ObjectServer("gs", endpoint, {"STORAGE_EMULATOR_HOST": endpoint})


def azure_server(endpoint: str) -> ObjectServer:
    blobs = f"{endpoint}/{ACCOUNT}"
    text = f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={blobs};"
    return ObjectServer("az", endpoint, {"AZURE_STORAGE_CONNECTION_STRING": text})


@contextmanager
def moto() -> Iterator[str]:
    """moto's server, in a process of its own; its endpoint."""
    with launch([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]) as process:
        yield process.endpoint


@contextmanager
def azurite() -> Iterator[str]:
    """Azurite's blob service; its endpoint. Skips the test where it cannot be installed."""
    try:
        main = install_azurite()
    except RuntimeError as error:
        pytest.skip(str(error))
    options = ["--blobPort", "0", "--inMemoryPersistence", "--disableTelemetry", "--skipApiVersionCheck", "--silent"]
    with launch(["node", str(main), *options]) as process:
        yield process.endpoint


def install_azurite() -> Path:
    """Azurite's program. Raises RuntimeError when it is not there and npm cannot bring it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nightcap-tests"
    folder = cache / AZURITE
    main = folder / "node_modules/azurite/dist/src/blob/main.js"
    if main.exists():
        return main
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeError("Azurite needs npm, which is not installed.")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as temporary:  # two at once do not disturb each other
        command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", temporary, AZURITE]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=INSTALL_SECONDS)
        except (subprocess.SubprocessError, OSError) as error:
            raise RuntimeError(f"npm could not install Azurite: {error}.") from None
        if not folder.exists():
            Path(temporary).rename(folder)
            Path(temporary).mkdir()  # for its own clean-up
    return main


def account_sas(resources: str, expires_in: timedelta = timedelta(hours=1), permissions: str = "rwdlacup") -> str:
    """A signature for the whole account. `resources`: of `s` service, `c` container, `o` object.

    After https://learn.microsoft.com/rest/api/storageservices/create-account-sas, version 2020-12-06.
    """
    expiry = (datetime.now(UTC) + expires_in).strftime("%Y-%m-%dT%H:%M:%SZ")
    version = "2020-12-06"
    signed = [ACCOUNT, permissions, "b", resources, "", expiry, "", "https,http", version, "", ""]
    digest = hmac.new(base64.b64decode(KEY), "\n".join(signed).encode(), hashlib.sha256).digest()
    parameters = {"sv": version, "ss": "b", "srt": resources, "sp": permissions, "se": expiry, "spr": "https,http"}
    return urlencode({**parameters, "sig": base64.b64encode(digest).decode()})


if __name__ == "__main__":
    sys.stdout.write(json.dumps({"azurite": str(install_azurite())}) + "\n")
