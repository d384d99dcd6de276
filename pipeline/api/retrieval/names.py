"""Names that the service takes, and those that it only seems to take. Pure."""

import hashlib
import re

from pipeline.errors import UserError

MAX_INDEX_CHARACTERS = 24
MAX_ID_CHARACTERS = 256

_NAME = re.compile(r"[0-9A-Za-z]+([-_][0-9A-Za-z]+)*")
_GUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_ID = re.compile(r"[^\s\x00-\x1f\x7f]+")


def check_index_name(name: str) -> str:
    """`name`, or UserError. A longer one can be created, but no model then finds its documents (azure-docs #121051).

    At most 24 characters, or a GUID (how-to 2024-05); letters and digits, with single hyphens between them
    (azureai-samples, GPT-4V/video); single underscores were seen to work too.
    """
    if _GUID.fullmatch(name) or (len(name) <= MAX_INDEX_CHARACTERS and _NAME.fullmatch(name)):
        return name
    raise UserError(
        f"{name!r} cannot be the name of an index: give at most {MAX_INDEX_CHARACTERS} letters and digits, with single "
        "hyphens between them, or a GUID."
    )


def check_document_id(id_: str) -> str:
    """`id_`, or UserError."""
    if _ID.fullmatch(id_) and len(id_) <= MAX_ID_CHARACTERS:
        return id_
    raise UserError(
        f"{id_[:50]!r} cannot be the id of a document: give up to {MAX_ID_CHARACTERS} characters without spaces."
    )


def document_id(place: str) -> str:
    """Of the video at a place, told without its signature: the same every night."""
    return hashlib.blake2b(place.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def ingestion_name(id_: str) -> str:
    """Of the ingestion of one document: its id where that can stand in an address."""
    return id_ if _NAME.fullmatch(id_) else f"nightcap-{document_id(id_)}"
