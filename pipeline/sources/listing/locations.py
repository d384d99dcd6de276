"""What a row's path or URL names: where to read it, what may be written about it, and its key. Pure.

A signed URL is a secret: `uri` is cut before the query, and the whole stays in `address`, which nobody writes. The key
must stay the same when tomorrow's list brings new signatures, yet tell `?id=1` from `?id=2`; so it ends in a short hash
of what is in the query beside the signature.
"""

import hashlib
import os
import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urljoin, urlsplit

from pipeline.objects import is_signed
from pipeline.sources.files import SCHEME, key_of, path_of, uri_of

_WITH_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_OBJECTS = ("s3", "gs", "az", "memory")
# Of signed URLs: Azure's shared access signatures, S3 and Google (version 4, older), CloudFront.
# fmt: off
_SIGNATURE = frozenset((
    "sv", "ss", "srt", "sp", "se", "st", "spr", "sip", "sig", "sr", "si", "sdd", "skoid", "sktid", "skt", "ske", "sks",
    "skv", "saoid", "suoid", "scid", "rscc", "rscd", "rsce", "rscl", "rsct", "ses",
    "signature", "expires", "key-pair-id", "policy", "awsaccesskeyid", "googleaccessid", "token", "access_token",
))
# fmt: on
_SIGNATURE_PREFIXES = ("x-amz-", "x-goog-")


@dataclass(frozen=True, slots=True)
class Place:
    """Where an image lies."""

    uri: str
    key: str
    address: str | None = None
    """The whole URL, where `uri` is less."""

    @property
    def is_local(self) -> bool:
        return self.uri.startswith(SCHEME)


def place_of(location: str, base: str) -> Place | None:
    """What `location` names; relative to `base`, a URI that ends in `/`. None for what can be no place of an image."""
    if "\0" in location:
        return None
    if scheme := _WITH_SCHEME.match(location):
        match scheme[1].lower():
            case "file":
                return local_place(path_of("file" + location[4:]))
            case "http" | "https":
                return web_place(location)
            case kind if kind in _OBJECTS:
                name = location[scheme.end() :]
                if name.endswith("/") or "/" not in name or is_signed(name):
                    return None
                return Place(f"{kind}://{name}", clean(name))
        return None
    relative = _normal(location)
    if base.startswith(SCHEME):
        place = local_place(os.path.join(path_of(base), relative))
        return place and Place(place.uri, key_of(relative))
    if base.startswith("http"):
        return web_place(urljoin(base, location))
    return Place(base + relative, clean(relative))


def local_place(path: str) -> Place | None:
    try:
        return Place(uri_of(path), key_of(path))
    except UnicodeEncodeError:  # half an emoji, which no file system has
        return None


def web_place(url: str) -> Place | None:
    """The place of a web address, without its secrets; None for one without a host."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or not url.isprintable():
        return None
    authority = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
    uri = clean(f"{parts.scheme.lower()}://{authority}{parts.path or '/'}")
    key = uri.partition("://")[2]
    if telling := [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if _tells(name)]:
        key += "#" + hashlib.blake2b(repr(telling).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    return Place(uri, key, url if url != uri else None)


def clean(text: str) -> str:
    """The same as valid Unicode, which is all that can be written."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def _tells(name: str) -> bool:
    name = name.lower()
    return name not in _SIGNATURE and not name.startswith(_SIGNATURE_PREFIXES)


def _normal(path: str) -> str:
    return path.removeprefix("./") or path
