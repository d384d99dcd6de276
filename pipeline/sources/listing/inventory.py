"""Inventories of object stores as their services write them: a manifest that names files of rows. Pure but for reading.

S3 (docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory-location.html): `manifest.json` beside a folder
`data`; gzipped CSV without a header, whose keys are URL-encoded, or Parquet, whose keys are not.
Azure (learn.microsoft.com/azure/storage/blobs/blob-inventory): `RULE-manifest.json`; CSV with a header or Parquet,
whose names begin with the container.

An inventory is a folder listed by somebody else, so the same is left out: old versions, deleted objects, folders, and
what has no image's suffix.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote_plus

from pipeline.errors import UserError

MANIFEST_SUFFIX = "manifest.json"
_BUCKET_ARN = re.compile(r"arn:[^:]*:s3:::(.+)")


@dataclass(frozen=True, slots=True)
class Inventory:
    """What a manifest says."""

    kind: Literal["s3", "az"]
    files: Sequence[str]
    """URLs of the files of rows, where the service put them."""
    columns: Sequence[str] | None
    """Of CSV files without a header."""
    is_parquet: bool
    keys_encoded: bool


@dataclass(frozen=True, slots=True)
class Listed:
    """An object of an inventory."""

    bucket: str
    name: str
    version: str
    size: int | None


def read_manifest(document: Any, name: str) -> Inventory:
    """UserError for what is no manifest, or one of a kind that cannot be read."""
    try:
        if "fileSchema" in document:
            return _s3(document, name)
        if "ruleDefinition" in document:
            return _azure(document, name)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{name} looks like an inventory's manifest, but lacks {error}.") from None
    raise UserError(f"{name} is no manifest of an S3 or Azure inventory; a list of images is .jsonl, .csv or .txt.")


def _s3(document: Mapping[str, Any], name: str) -> Inventory:
    kind = document["fileFormat"]
    if kind not in ("CSV", "Parquet"):
        raise UserError(f"The inventory {name} is in {kind}; configure CSV or Parquet.")
    bucket = document["destinationBucket"]
    match = _BUCKET_ARN.fullmatch(bucket)
    base = f"s3://{match[1] if match else bucket}/"
    files = [base + file["key"] for file in document["files"]]
    columns = [column.strip() for column in document["fileSchema"].split(",")] if kind == "CSV" else None
    return Inventory("s3", files, columns, kind == "Parquet", kind == "CSV")


def _azure(document: Mapping[str, Any], name: str) -> Inventory:
    rule = document["ruleDefinition"]
    if rule.get("objectType", "blob").lower() != "blob":
        raise UserError(f"The inventory {name} lists containers; configure one of blobs.")
    base = f"az://{document['destinationContainer']}/"
    files = [base + file["blob"] for file in document["files"]]
    return Inventory("az", files, None, rule.get("format", "csv").lower() == "parquet", False)


def objects_of(inventory: Inventory, rows: Iterable[Mapping[str, str]], name: str) -> Iterator[Listed]:
    """The objects that are there now. UserError when the inventory lacks a column that must be."""
    for row in rows:
        # S3 calls its columns Key and LastModifiedDate in CSV, key and last_modified_date in Parquet.
        values = {column.lower().replace("_", "").replace("-", ""): value for column, value in row.items()}
        try:
            listed = _s3_object(inventory, values) if inventory.kind == "s3" else _azure_object(values)
        except KeyError as error:
            raise UserError(f"The inventory {name} has no column {error.args[0]!r}; add it to its fields.") from None
        if listed is not None and not listed.name.endswith("/"):
            yield listed


def _s3_object(inventory: Inventory, row: Mapping[str, str]) -> Listed | None:
    if row.get("islatest", "true").lower() == "false" or row.get("isdeletemarker", "false").lower() == "true":
        return None
    name = unquote_plus(row["key"]) if inventory.keys_encoded else row["key"]
    return _listed(row["bucket"], name, row, row.get("size"), row.get("lastmodifieddate"))


def _azure_object(row: Mapping[str, str]) -> Listed | None:
    gone = row.get("snapshot") or _is(row, "deleted") or row.get("iscurrentversion", "true").lower() == "false"
    if gone or _is(row, "hdiisfolder"):
        return None
    container, _, name = row["name"].partition("/")
    return _listed(container, name, row, row.get("contentlength"), row.get("lastmodified"))


def _is(row: Mapping[str, str], column: str) -> bool:
    return row.get(column, "").lower() == "true"


def _listed(bucket: str, name: str, row: Mapping[str, str], size: str | None, modified: str | None) -> Listed:
    # As the store itself would list it, so that the source can be changed from one to the other.
    version = row.get("etag", "").removeprefix("W/").strip('"') or f"{size}-{modified}"
    return Listed(bucket, name, version, int(size) if size and size.isdigit() else None)
