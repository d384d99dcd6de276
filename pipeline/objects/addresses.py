"""Web addresses of blobs, for services that fetch them themselves: signed for a while, or without where those may."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, cast
from urllib.parse import quote

from pipeline.errors import UserError
from pipeline.objects.location import Location, find_location
from pipeline.objects.opening import Objects, open_objects

if TYPE_CHECKING:
    from obstore.store import AzureStore

VALID = timedelta(hours=24)
"""Of a signature that is made here: what was listed in the evening is still fetched in the morning."""
_LOCAL_EMULATOR = "http://127.0.0.1:10000/devstoreaccount1"


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
        try:
            return list(obstore.sign(cast("AzureStore", objects.store), "GET", names, VALID))
        except Exception as error:
            raise objects.explained(error) from None


def _container(config: Mapping[str, str]) -> str:
    """Its address, by an opened store's configuration."""
    endpoint = config.get("endpoint") or f"https://{config.get('account_name')}.blob.core.windows.net"
    if config.get("use_emulator") == "true":
        endpoint = _LOCAL_EMULATOR
    return f"{endpoint.rstrip('/')}/{config['container_name']}"
