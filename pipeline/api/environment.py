"""What is read from environment variables, checked: addresses and keys. Pure; never quotes a key."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from pipeline.errors import UserError

OTHER_NAMES: Mapping[str, tuple[str, ...]] = {
    "AZURE_OPENAI_API_KEY": ("AZURE_OPENAI_KEY",),
    "AZURE_OPENAI_ENDPOINT": ("AZURE_OPENAI_API_ENDPOINT", "AZURE_OPENAI_API_BASE"),
    "OPENAI_API_VERSION": ("AZURE_OPENAI_API_VERSION",),
    "OPENAI_BASE_URL": ("OPENAI_API_BASE",),
}
"""What older guides and tools call the same."""


def usual_or_other(name: str, environ: Mapping[str, str]) -> str:
    """The variable that is set: `name`, or else another name for the same."""
    if environ.get(name, "").strip():
        return name
    others = OTHER_NAMES.get(name, ())
    if environ.get("OPENAI_API_TYPE", "").startswith("azure"):  # then OPENAI_API_BASE is no address of OpenAI's form
        others = tuple(other for other in others if not other.startswith("OPENAI_"))
    return next((other for other in others if environ.get(other, "").strip()), name)


def read_variable(name: str, environ: Mapping[str, str]) -> str:
    """The value under `name` or another name for the same; empty where there is none."""
    return environ.get(usual_or_other(name, environ), "").strip()


def read_key(variable: str, environ: Mapping[str, str]) -> str | None:
    """The key, without the line break that a file or `echo` leaves at its end; None when there is none."""
    key = environ.get(variable, "").strip()
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise UserError(f"{variable} holds a character that is in no key; copy it again.")
    return key or None


def checked_address(url: str, what: str = "The endpoint", like: str = "https://HOST/v1") -> str:
    """`url` without a slash at its end; UserError when nothing can be sent there. `what`: whose address it is."""
    shown = repr(url) if "@" not in url and "?" not in url else "given"
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        (parts.hostname or "").encode("idna")  # what the name lookup will do, to refuse e.g. https://.openai.azure.com
    except ValueError:
        usable = False
    if not usable or not url.isprintable() or " " in url:
        raise UserError(f"{what}'s address {shown} is not an http(s) URL; it looks like {like}.")
    if parts.username or parts.password:
        raise UserError(f"{what}'s address holds a password; put the key into its environment variable.")
    if parts.query or parts.fragment:
        raise UserError(
            f"{what}'s address has a query ({parts.hostname}); end it before the '?'. "
            "An Azure api-version goes into OPENAI_API_VERSION."
        )
    return url.rstrip("/")
