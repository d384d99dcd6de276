"""Inventories as S3 and Azure write them."""

import gzip
import json
from pathlib import Path
from typing import Any

import obstore
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import UserError
from pipeline.items import SourceImage
from pipeline.objects import open_objects
from pipeline.sources import SourceOptions, open_source, remote_source
from tests.helpers.object_stores import ObjectServer

S3_COLUMNS = "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag, StorageClass"
S3_ROWS = [
    ("photos", "2024/a.jpg", "v1", "true", "false", "11", "2024-01-01T00:00:00.000Z", "0a1b"),
    ("photos", "2024/gr%C3%B6%C3%9Fe+1%2B1.jpg", "v2", "true", "false", "12", "2024-01-01T00:00:00.000Z", "0a1c"),
    ("photos", "2024/a.jpg", "v0", "false", "false", "10", "2023-01-01T00:00:00.000Z", "0a0a"),
    ("photos", "gone.jpg", "v3", "true", "true", "", "2024-01-01T00:00:00.000Z", ""),
    ("photos", "2024/", "v4", "true", "false", "0", "2024-01-01T00:00:00.000Z", "d41d"),
    ("photos", "notes.txt", "v5", "true", "false", "5", "2024-01-01T00:00:00.000Z", "0a1d"),
]
DATA = "inventories/photos/daily/data/1e2f.csv.gz"


def s3_manifest(kind: str = "CSV", columns: str = S3_COLUMNS, key: str = DATA) -> bytes:
    return json.dumps(
        {
            "sourceBucket": "photos",
            "destinationBucket": "arn:aws:s3:::reports",
            "version": "2016-11-30",
            "creationTimestamp": "1700000000000",
            "fileFormat": kind,
            "fileSchema": columns,
            "files": [{"key": key, "size": 1, "MD5checksum": "00"}],
        }
    ).encode()


def s3_data(rows: list[tuple[str, ...]] = S3_ROWS) -> bytes:
    return gzip.compress(
        "".join(",".join(f'"{value}"' for value in (*row, "STANDARD")) + "\n" for row in rows).encode()
    )


def put(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def images(path: Path | str, **options: Any) -> list[SourceImage]:
    return list(open_source(SourceOptions((str(path),), **options)).list())


EXPECTED = [
    SourceImage("2024/a.jpg", "s3://photos/2024/a.jpg", "0a1b", 11),
    SourceImage("2024/größe 1+1.jpg", "s3://photos/2024/größe 1+1.jpg", "0a1c", 12),
]


@pytest.mark.parametrize(
    ("manifest", "data"),
    [
        ("reports/inventories/photos/daily/2024-01-02T00-00Z/manifest.json", f"reports/{DATA}"),
        ("manifest.json", "data/1e2f.csv.gz"),
        ("here/manifest.json", "here/1e2f.csv.gz"),
    ],
)
def test_an_s3_inventory_that_was_copied_here(tmp_path: Path, manifest: str, data: str) -> None:
    put(tmp_path / data, s3_data())
    assert images(put(tmp_path / manifest, s3_manifest())) == EXPECTED
    assert [image.key for image in images(tmp_path / manifest, include=("*.txt",))] == ["notes.txt"]


def test_an_s3_inventory_in_parquet(tmp_path: Path) -> None:
    table = pa.table(
        {
            "bucket": ["photos", "photos"],
            "key": ["2024/a.jpg", "100%25.jpg"],
            "is_latest": [True, True],
            "is_delete_marker": [False, False],
            "size": [11, 12],
            "e_tag": ["0a1b", "0a1c"],
        }
    )
    (tmp_path / "data").mkdir()
    pq.write_table(table, tmp_path / "data/x.parquet")
    manifest = put(tmp_path / "manifest.json", s3_manifest("Parquet", "message s3.inventory {...}", "a/data/x.parquet"))
    first, second = images(manifest)
    assert first == EXPECTED[0]
    assert second.key == "100%25.jpg", "keys are encoded in CSV alone"


def azure_manifest(kind: str = "csv") -> bytes:
    return json.dumps(
        {
            "destinationContainer": "reports",
            "endpoint": "https://me.blob.core.windows.net",
            "files": [{"blob": f"2024/01/02/03-04-05/rule/rule_1000000_0.{kind}", "size": 1}],
            "ruleDefinition": {"format": kind, "objectType": "blob", "schedule": "daily", "schemaFields": ["Name"]},
            "ruleName": "rule",
            "status": "Succeeded",
            "version": "1.0",
        }
    ).encode()


AZURE_CSV = (
    "Name,Content-Length,Etag,hdi_isfolder,Deleted,Snapshot,IsCurrentVersion\n"
    "photos/a b.jpg,11,0x8DC,,,,true\n"
    "photos/old.jpg,11,0x8DB,,,,false\n"
    "photos/deleted.jpg,11,0x8DA,,true,,\n"
    "photos/shot.jpg,11,0x8D9,,,2024-01-01T00:00:00.0000000Z,\n"
    "photos/folder.jpg,0,0x8D8,true,,,\n"
)


def test_an_azure_inventory(tmp_path: Path) -> None:
    put(tmp_path / "2024/01/02/03-04-05/rule/rule_1000000_0.csv", AZURE_CSV.encode())
    manifest = put(tmp_path / "2024/01/02/03-04-05/rule/rule-manifest.json", azure_manifest())
    assert images(manifest) == [SourceImage("photos/a b.jpg", "az://photos/a b.jpg", "0x8DC", 11)]


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b"{}", "no manifest"),
        (b"[]", "no manifest"),
        (b"<html>", "not JSON"),
        (s3_manifest("ORC"), "in ORC"),
        (b'{"fileSchema": "Key", "fileFormat": "CSV"}', "lacks 'destinationBucket'"),
        (b'{"ruleDefinition": {"objectType": "container"}, "files": []}', "lists containers"),
    ],
)
def test_what_is_no_manifest(tmp_path: Path, document: bytes, said: str) -> None:
    with pytest.raises(UserError, match=said):
        images(put(tmp_path / "manifest.json", document))


def test_an_inventory_that_lacks_a_field(tmp_path: Path) -> None:
    put(tmp_path / "data/1e2f.csv.gz", gzip.compress(b'"photos","5"\n'))
    with pytest.raises(UserError, match="no column 'key'"):
        images(put(tmp_path / "manifest.json", s3_manifest(columns="Bucket, Size")))


@pytest.mark.integration
async def test_an_inventory_where_the_service_put_it(s3: ObjectServer) -> None:
    reports, photos = open_objects(s3.create("reports")).store, open_objects(s3.create("photos")).store
    obstore.put(reports, "inventories/photos/daily/2024-01-02T00-00Z/manifest.json", s3_manifest())
    obstore.put(reports, DATA, s3_data())
    obstore.put(photos, "2024/a.jpg", b"picture one")
    source = open_source(SourceOptions(("s3://reports/inventories/photos/daily/2024-01-02T00-00Z/manifest.json",)))
    listed = list(source.list())
    assert listed == EXPECTED
    remote = remote_source(source, listed[0])
    assert remote is not None
    assert await remote.fetch(listed[0]) == b"picture one"
