"""What a URL says about a place in an object store; pure."""

import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import SplitResult, parse_qs, quote, unquote, urlsplit

from pipeline.errors import UserError

Kind = Literal["s3", "gs", "az", "memory"]

_BY_NAME = re.compile(r"(s3|gs|az|memory)://([^/]*)/?(.*)", re.IGNORECASE | re.DOTALL)
_AZURE_HOST = re.compile(r"(?P<account>[a-z0-9]+)\.(blob|dfs)\.(core\.|storage\.|fabric\.)[a-z0-9.]+", re.IGNORECASE)
_FILE = re.compile(r"\.[A-Za-z0-9]{1,8}")
_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s'\"]+", re.IGNORECASE)
_SIGNATURE = re.compile(r"[?&](sig|signature|x-amz-signature|x-goog-signature)=", re.IGNORECASE)
_CONTAINER_RESOURCES = ("c", "d")
"""`sr` of a shared access signature for a container or a folder in it; one for a single blob says `b`."""


@dataclass(frozen=True, slots=True)
class Location:
    """A bucket or container, and a path in it."""

    kind: Kind
    bucket: str
    path: str
    """Below the bucket, without slashes at its ends; what the user wrote, so perhaps a glob."""
    base: str
    """What the URIs of its objects begin with: ends in `/`, holds no secret."""
    account: str | None = None
    """Azure's, where the URL names it."""
    endpoint: str | None = None
    """Where the account is, if the URL says so."""
    sas: str | None = field(default=None, repr=False)
    """Shared access signature, percent-encoded. A secret."""

    @property
    def is_web(self) -> bool:
        """Whether its URIs are web addresses, in which names are percent-encoded."""
        return self.base.startswith("http")

    def uri(self, name: str) -> str:
        """Of the object `name`."""
        return self.base + (quote(name) if self.is_web else name)

    def name(self, uri: str) -> str:
        """Of the object whose `uri` it is."""
        name = uri.removeprefix(self.base)
        return unquote(name) if self.is_web else name


def find_location(url: str) -> Location | None:
    """The place that `url` names; None when it names none in an object store.

    `s3://BUCKET/PATH`, `gs://BUCKET/PATH`, `az://CONTAINER/PATH`; `https://ACCOUNT.blob.core.windows.net/CONTAINER/PATH`
    unless it names a single file; any web address with a signature for a container (`sr=c`) or an account (`srt`):
    elsewhere than on Azure's hosts the account comes first in its path, as with Azurite. `memory://` is for tests.

    Raises UserError when the bucket's name is missing, and for a signature, which only web addresses have.
    """
    if match := _BY_NAME.fullmatch(url):
        kind, bucket, path = match[1].lower(), match[2], match[3].strip("/")
        if not bucket:
            raise UserError(
                f"{url!r} names no {'container' if kind == 'az' else 'bucket'}: write {kind}://NAME/PREFIX."
            )
        if is_signed(path):
            raise UserError(f"{kind}://{bucket} is followed by a signature; write it as https:// address, or without.")
        return Location(kind, bucket, path, f"{kind}://{bucket}/")  # type: ignore[arg-type]
    if url.lower().startswith(("https://", "http://")):
        return _web_container(urlsplit(url))
    return None


def is_signed(path: str) -> bool:
    """Whether a path in a bucket ends in what is a web address's signature: a secret, and no object's name."""
    return _SIGNATURE.search(path) is not None


def _web_container(url: SplitResult) -> Location | None:
    query = parse_qs(url.query)
    signed_for_container = "sig" in query and (query.get("sr", [""])[0] in _CONTAINER_RESOURCES or "srt" in query)
    azure = _AZURE_HOST.fullmatch(url.hostname or "")
    parts = [unquote(part) for part in url.path.split("/") if part]
    if azure is None and not signed_for_container:
        return None
    host = f"{url.scheme}://{url.netloc.rpartition('@')[2]}"
    if azure is not None:
        if not signed_for_container and len(parts) > 1 and _FILE.search(parts[-1][-9:]):
            return None  # one file, public or with a signature of its own
        account, endpoint = azure["account"], host.replace(".dfs.", ".blob.", 1)  # one account, two interfaces
    else:
        account = parts.pop(0) if parts else ""
        endpoint = f"{host}/{account}"
    if not parts:
        raise UserError(f"{without_secrets(url.geturl())!r} names no container: write https://HOST/CONTAINER/PREFIX.")
    container, path = parts[0], "/".join(parts[1:])
    sas = url.query if "sig" in query else None
    return Location("az", container, path, f"{endpoint}/{quote(container)}/", account, endpoint, sas)


def without_secrets(text: str) -> str:
    """`text` with every web address in it cut before its query, where signatures are, and without user and password."""
    return _URL.sub(_public, text)


def _public(match: re.Match[str]) -> str:
    url = match[0]
    scheme, _, rest = url.partition("://")
    if scheme.lower() not in ("http", "https"):
        return url
    authority, slash, path = rest.partition("/")
    return f"{scheme}://{authority.rpartition('@')[2].partition('?')[0]}{slash}{re.split('[?#]', path)[0]}"
