"""From a place to an opened store, with the credentials that the environment holds under the ecosystem's names.

obstore reads most names itself: `AWS_*`, `AZURE_*`, `GOOGLE_*`. Added here are the other names that the vendors' own
tools know, and that an `http://` endpoint, which somebody wrote down on purpose, is one that may be used.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pipeline.errors import NightcapError, UserError
from pipeline.objects.location import Location, find_location, without_secrets
from pipeline.objects.trouble import explained

if TYPE_CHECKING:
    from obstore.store import MemoryStore, ObjectStore

HASTY = timedelta(seconds=5)
"""How long requests are tried again, where somebody waits for the first answer, or tries again himself."""
PATIENT = timedelta(minutes=4)
"""Where the store is known to exist: a store that throttles, or restarts, is waited for."""

_CLIENT = {
    "timeout": timedelta(minutes=10),  # of a whole request: 200 MB over a slow line
    "read_timeout": timedelta(seconds=60),
    "connect_timeout": timedelta(seconds=5),
}
_memory: "dict[str, MemoryStore]" = {}
"""What `memory://NAME` means in this process."""


@dataclass(frozen=True, slots=True)
class Objects:
    """A bucket or container, opened. obstore's functions take `store`; names in it are those of the whole bucket."""

    location: Location
    store: "ObjectStore"

    @property
    def account(self) -> str:
        """What tells apart buckets of one name: the storage account, or the endpoint if it is not the vendor's own."""
        config: Mapping[str, str] = getattr(self.store, "config", {})
        return next((config[name] for name in ("account_name", "endpoint", "base_url") if name in config), "")

    def explained(self, error: Exception) -> NightcapError:
        """What obstore's `error` means, as one sentence without secrets: what to raise `from None`.

        UserError where the command or the credentials are wrong; Unavailable where waiting may help; ImageError for a
        single object that is gone or archived; else RunError.
        """
        return explained(error, self.location)


def open_objects(
    url: str | Location, environ: Mapping[str, str] | None = None, patience: timedelta = PATIENT
) -> Objects:
    """Open the store that `url` names (see `find_location`); nothing is asked of it yet.

    `patience`: how long a request that meets trouble which may pass is tried again. Raises UserError for a place that
    is none, credentials that are missing and such that cannot be read.
    """
    location = find_location(url) if isinstance(url, str) else url
    if location is None:
        raise UserError(f"{without_secrets(str(url))!r} is not a place in an object store; write s3://BUCKET/PREFIX.")
    try:
        return Objects(location, _open(location, os.environ if environ is None else environ, patience))
    except NightcapError:
        raise
    except Exception as error:
        raise explained(error, location) from None


def _open(location: Location, environ: Mapping[str, str], patience: timedelta) -> "ObjectStore":
    from obstore.store import AzureStore, GCSStore, MemoryStore, S3Store  # 60 ms that `--help` does not need

    # Not counted: how many fit into the time is what matters. Doubling from 100 ms, with jitter.
    retry: Any = {"max_retries": 1000, "retry_timeout": patience}
    match location.kind:
        case "s3":
            options = _s3(environ)
            return S3Store(location.bucket, config=options, client_options=_client(options), retry_config=retry)
        case "gs":
            options = _gcs(environ)
            return GCSStore(location.bucket, config=options, client_options=_client(options), retry_config=retry)
        case "az":
            options = _azure(location, environ)
            return AzureStore(location.bucket, config=options, client_options=_client(options), retry_config=retry)
        case "memory":
            return _memory.setdefault(location.bucket, MemoryStore())


def _client(options: Mapping[str, str]) -> Any:
    endpoint = options.get("endpoint") or options.get("base_url") or ""
    return {**_CLIENT, "allow_http": True} if endpoint.startswith("http://") else _CLIENT


def _s3(environ: Mapping[str, str]) -> Any:
    return _given(endpoint=_first(environ, "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"))


def _gcs(environ: Mapping[str, str]) -> Any:
    emulator = _first(environ, "STORAGE_EMULATOR_HOST")
    if emulator is None:
        return _given(base_url=_first(environ, "GOOGLE_BASE_URL"))
    return {"base_url": emulator if "://" in emulator else f"http://{emulator}", "skip_signature": "true"}


def _azure(location: Location, environ: Mapping[str, str]) -> Any:
    said = _connection(_first(environ, "AZURE_STORAGE_CONNECTION_STRING"))
    if location.account and location.account != said.get("account_name"):
        said = {}  # the string is another account's
    account = location.account or said.get("account_name")
    account = account or _first(environ, "AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT")
    emulated = _first(environ, "AZURE_STORAGE_USE_EMULATOR") in ("true", "1") or "use_emulator" in said
    if account is None and not emulated:
        raise UserError(
            f"{location.base} needs to know its storage account: set AZURE_STORAGE_ACCOUNT_NAME (and"
            " AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN or an Entra ID), or AZURE_STORAGE_CONNECTION_STRING."
        )
    found = _given(
        account_name=account,
        account_key=_first(environ, "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCESS_KEY"),
        sas_key=_first(environ, "AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_SAS_KEY"),
        endpoint=location.endpoint or _first(environ, "AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
    )
    found |= said
    if location.sas:  # what the URL brings counts, whatever else there is
        found = {**found, "sas_key": location.sas, "credential_type": "sas_token"}
        found.pop("account_key", None)
    if "sas_key" in found:
        found["sas_key"] = found["sas_key"].removeprefix("?")
    return found


def _connection(text: str | None) -> dict[str, str]:
    """An Azure connection string: `Name=value;` of what we need, under obstore's names."""
    if text is None:
        return {}
    parts = dict(part.strip().partition("=")[::2] for part in text.split(";") if "=" in part)
    if parts.get("UseDevelopmentStorage") == "true":
        return {"use_emulator": "true"}
    account = parts.get("AccountName")
    endpoint = parts.get("BlobEndpoint")
    if endpoint is None and account is not None and (suffix := parts.get("EndpointSuffix")):
        endpoint = f"{parts.get('DefaultEndpointsProtocol', 'https')}://{account}.blob.{suffix}"
    if account is None and endpoint is not None:  # one with a signature names the account in its address only
        account = endpoint.partition("://")[2].partition(".")[0]
    if account is None:
        raise UserError("AZURE_STORAGE_CONNECTION_STRING names no account: neither AccountName nor BlobEndpoint.")
    return _given(
        account_name=account,
        account_key=parts.get("AccountKey"),
        sas_key=parts.get("SharedAccessSignature"),
        endpoint=endpoint and endpoint.rstrip("/"),
    )


def _first(environ: Mapping[str, str], *names: str) -> str | None:
    return next((value for name in names if (value := environ.get(name))), None)


def _given(**values: str | None) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}
