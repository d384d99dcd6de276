"""Web addresses of blobs, for services that fetch them themselves: signed for a while, or without where those may."""

import base64
import hmac
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast
from urllib.parse import quote, urlencode

from pipeline.errors import UserError
from pipeline.objects.location import Location, find_location
from pipeline.objects.opening import Objects, open_objects

if TYPE_CHECKING:
    from obstore.store import AzureStore

VALID = timedelta(hours=24)
"""Of a signature that is made here: what was listed in the evening is still fetched in the morning."""
CLOCKS_DIFFER = timedelta(minutes=15)
"""What Microsoft advises to allow for."""
_EMULATED_ACCOUNT = "devstoreaccount1"
_EMULATED_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoMGMw=="
"""No secret: of every Azurite (learn.microsoft.com, Use the Azurite emulator)."""
_LOCAL_EMULATOR = f"http://127.0.0.1:10000/{_EMULATED_ACCOUNT}"


class BlobAddresses:
    """Finds the address of what `az://` URIs name, and of blobs in containers that the user gave with a signature."""

    def __init__(self, locations: Iterable[Location], environ: Mapping[str, str], *, signed: bool = True) -> None:
        """`locations`: those given. `signed`: False when the service reads blobs in its own name."""
        self._given = [location for location in locations if location.sas]
        self._environ = environ
        self._signed = signed
        self._opened: dict[str, Objects] = {}

    def of(self, uris: Sequence[str]) -> list[str]:
        """An address for each, in order; secrets where it is signed. Web addresses in no given container stay.

        Raises UserError for what no service can fetch, and where the credentials for a signature are missing.
        """
        found: dict[str, str] = {}
        unsigned: dict[str, list[str]] = {}
        for uri in uris:
            given = next((location for location in self._given if uri.startswith(location.base)), None)
            if given:
                found[uri] = f"{uri}?{given.sas}" if self._signed else uri
            elif uri.startswith(("https://", "http://")):
                found[uri] = uri
            elif (location := find_location(uri)) and location.kind == "az":
                unsigned.setdefault(location.base, []).append(uri)
            else:
                raise UserError(
                    f"{uri} is on no web server and in no Azure container: put the video there, and name it by az:// "
                    "or by its address."
                )
        for base, group in unsigned.items():
            found.update(zip(group, self._in_container(base, group), strict=True))
        return [found[uri] for uri in uris]

    def _in_container(self, base: str, uris: Sequence[str]) -> list[str]:
        import obstore

        if base not in self._opened:
            self._opened[base] = open_objects(base, self._environ)
        objects = self._opened[base]
        names = [uri.removeprefix(base) for uri in uris]
        config: Mapping[str, str] = getattr(objects.store, "config", {})
        plain = [f"{_container(config)}/{quote(name)}" for name in names]
        if not self._signed or config.get("skip_signature") == "true":
            return plain
        if sas := config.get("sas_key"):
            return [f"{address}?{sas}" for address in plain]
        if key := _account_key(config):
            account = config.get("account_name", _EMULATED_ACCOUNT)
            resources = [f"/blob/{account}/{config['container_name']}/{name}" for name in names]
            now = datetime.now(UTC)
            return [f"{at}?{_signature(of, key, now)}" for at, of in zip(plain, resources, strict=True)]
        try:  # by a key that the service gives for a token of Entra ID
            return list(obstore.sign(cast("AzureStore", objects.store), "GET", names, VALID))
        except Exception as error:
            raise objects.explained(error) from None


def _account_key(config: Mapping[str, str]) -> str | None:
    return config.get("account_key") or (_EMULATED_KEY if config.get("use_emulator") == "true" else None)


def _signature(resource: str, key: str, now: datetime) -> str:
    """For reading one blob until VALID is over (Azure Storage, Create a service SAS, version 2020-12-06 and later).

    Not obstore's: 0.12 signs the escaped name, and the service the name itself, so that `a b.mp4` is refused.
    """
    begin, end = (f"{at:%Y-%m-%dT%H:%M:%SZ}" for at in (now - CLOCKS_DIFFER, now + VALID))
    fields = {"sp": "r", "st": begin, "se": end, "sv": "2022-11-02", "sr": "b"}
    # Permission, start, end, resource, identifier, addresses, protocol, version, kind, snapshot, scope, five headers.
    told = ["r", begin, end, resource, "", "", "", fields["sv"], "b", "", "", "", "", "", "", ""]
    digest = hmac.digest(base64.b64decode(key), "\n".join(told).encode(), "sha256")
    return urlencode({**fields, "sig": base64.b64encode(digest).decode()})


def _container(config: Mapping[str, str]) -> str:
    """Its address, by an opened store's configuration."""
    endpoint = config.get("endpoint") or f"https://{config.get('account_name')}.blob.core.windows.net"
    if config.get("use_emulator") == "true":
        endpoint = _LOCAL_EMULATOR
    return f"{endpoint.rstrip('/')}/{config['container_name']}"
