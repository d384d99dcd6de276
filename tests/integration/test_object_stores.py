"""Buckets and containers on real servers: what is listed, fetched, asked and said."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import obstore
import pyarrow.parquet as pq
import pytest

from pipeline import Job, estimate, run_async
from pipeline.emulator.app import Running
from pipeline.errors import RunError, UserError
from pipeline.objects import open_objects
from pipeline.sources import SourceOptions, open_source
from pipeline.sources.storage import resuming
from tests.helpers.command import nightcap
from tests.helpers.folders import write_jpegs
from tests.helpers.large_bucket import large_bucket
from tests.helpers.object_stores import ACCOUNT, ObjectServer, account_sas, azure_server, gcs_server, s3_server
from tests.helpers.pictures import encoded, photo
from tests.helpers.store_proxy import Proxy, denied, proxied, slow_down

pytestmark = pytest.mark.integration

JPEG = encoded(photo(96, 64))


def pictures(count: int) -> dict[str, bytes]:
    """JPEGs that differ, made quickly: what follows the end of the picture is ignored, but counts as content."""
    return {f"photos/{number:05}.jpg": JPEG + number.to_bytes(4) for number in range(count)}


async def fill(url: str, files: Mapping[str, bytes]) -> None:
    store = open_objects(url).store
    names = iter(files)

    async def put() -> None:
        for name in names:
            await obstore.put_async(store, name, files[name])

    await asyncio.gather(*[put() for _ in range(16)])


@pytest.fixture
def bucket(store: ObjectServer, request: pytest.FixtureRequest) -> str:
    return store.create(name_of(request))


def name_of(request: pytest.FixtureRequest) -> str:
    """A bucket's name for this test alone."""
    return "".join(letter if letter.isalnum() else "-" for letter in request.node.name.lower())[-50:].strip("-")


@pytest.fixture(autouse=True)
def _model(emulator: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint that answers at once, and no cloud's metadata service to ask for credentials."""
    monkeypatch.setenv("OPENAI_BASE_URL", f"{emulator.endpoint}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "emulator-key")
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1")


def job(url: str, out: Path, **options: object) -> Job:
    return Job.create(url, out, model="openai:gpt-4o", concurrency=16, **options)


def rows(out: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = pq.read_table(out, schema=None).to_pylist()
    return sorted(found, key=lambda row: str(row["key"]))


def use(server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in server.environ.items():
        monkeypatch.setenv(name, value)


async def test_a_prefix_is_captioned_and_then_finished(bucket: str, tmp_path: Path) -> None:
    odd = "photos/sub folder/é 100% #1?.jpg"
    await fill(bucket, {**pictures(20), odd: JPEG, "photos/notes.txt": b"no image", "other/x.jpg": JPEG})
    first = await run_async(job(f"{bucket}/photos", tmp_path / "out"))
    assert first.stats.captioned == 21
    assert [row["key"] for row in rows(tmp_path / "out")] == sorted([*pictures(20), odd])
    assert rows(tmp_path / "out")[-1]["uri"] == f"{bucket}/{odd}"
    again = await run_async(job(f"{bucket}/photos", tmp_path / "out"))
    assert (again.stats.skipped, again.stats.recorded) == (21, 0)


async def test_google_speaks_nearly_the_same_protocol(
    s3: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """moto's server stands in, behind a proxy that decodes `%2D` and needs no signature."""
    await fill(s3.create("google-photos"), pictures(5))
    async with proxied(s3.endpoint, as_google=True) as proxy:
        use(gcs_server(proxy.endpoint), monkeypatch)
        summary = await run_async(job("gs://google-photos/photos/*.jpg", tmp_path / "out"))
    assert summary.stats.captioned == 5
    assert rows(tmp_path / "out")[0]["uri"] == "gs://google-photos/photos/00000.jpg"


async def test_a_container_by_its_signature_alone(
    azure: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(azure.create("signed"), pictures(3))
    monkeypatch.delenv("AZURE_STORAGE_CONNECTION_STRING")
    sas = account_sas("co", permissions="rl")
    url = f"{azure.endpoint}/{ACCOUNT}/signed/photos?{sas}"
    assert (await run_async(job(url, tmp_path / "out"))).stats.captioned == 3
    secret = sas.rpartition("sig=")[2]
    for path in (tmp_path / "out").rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes(), path
    assert all("?" not in str(row["uri"]) for row in rows(tmp_path / "out"))
    # The same images by another signature tomorrow are the same images.
    tomorrow = f"{azure.endpoint}/{ACCOUNT}/signed/photos?{account_sas('co', timedelta(hours=2), 'rl')}"
    assert (await run_async(job(tomorrow, tmp_path / "out"))).stats.skipped == 3


async def test_estimating_downloads_nothing(
    store: ObjectServer, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(bucket, dict.fromkeys(pictures(40), JPEG + bytes(300_000)))
    async with proxied(store.endpoint) as proxy:
        use(behind(store, proxy), monkeypatch)
        found = await asyncio.to_thread(estimate, job(bucket, tmp_path / "out"))
    assert found.survey.probed == 40
    assert proxy.counts == {"list": 1, "range": 40}
    assert proxy.bytes_sent < 40 * 40_000


async def test_a_large_listing_is_one_request_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with large_bucket(2500, JPEG) as large:
        use(s3_server(large.endpoint), monkeypatch)
        found = await asyncio.to_thread(estimate, job("s3://large", tmp_path / "out"))
    assert found.survey.probed == 2500
    assert large.counts == {"list": 3, "range": 2500}


@pytest.mark.parametrize("store", ["az"], indirect=True)
async def test_the_second_night_asks_only_for_what_is_new_or_changed(
    store: ObjectServer, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = pictures(60)
    await fill(bucket, files)
    assert (await run_async(job(bucket, tmp_path / "out"))).stats.captioned == 60
    new = {name.replace("photos", "new"): data + b"!" for name, data in pictures(50).items()}
    changed = {name: files[name] + b"changed" for name in list(files)[10:13]}
    await fill(bucket, {**new, **changed})
    await obstore.delete_async(open_objects(bucket).store, list(files)[:2])
    async with proxied(store.endpoint) as proxy:
        use(behind(store, proxy), monkeypatch)
        summary = await run_async(job(bucket, tmp_path / "out"))
    assert (summary.stats.recorded, summary.stats.skipped) == (53, 55)
    assert proxy.counts == {"list": 1, "get": 53}
    assert len(rows(tmp_path / "out")) == 110  # those that are gone were paid for, and stay


@pytest.mark.parametrize("store", ["s3"], indirect=True)
async def test_a_blob_that_vanishes_is_a_row(
    store: ObjectServer, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(bucket, pictures(30))
    opened = open_objects(bucket)
    async with proxied(store.endpoint) as proxy:
        use(behind(store, proxy), monkeypatch)

        def vanish(kind: str, path: str) -> None:
            if kind == "get" and path.endswith("00000.jpg"):
                obstore.delete(opened.store, "photos/00007.jpg")

        proxy.trouble = vanish
        summary = await run_async(job(bucket, tmp_path / "out", fetchers=1))
    assert (summary.stats.captioned, summary.exit_code) == (29, 1)
    [gone] = [row for row in rows(tmp_path / "out") if row["status"] != "captioned"]
    assert (gone["key"], gone["reason"]) == ("photos/00007.jpg", "unreadable")
    assert "gone since it was listed" in str(gone["message"])


@pytest.mark.parametrize(("store", "kinds"), [("s3", {"list"}), ("az", {"get"})], indirect=["store"])
async def test_a_store_that_throttles_for_a_while_is_waited_for(
    kinds: set[str], store: ObjectServer, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(bucket, pictures(40))
    async with proxied(store.endpoint) as proxy:
        use(behind(store, proxy), monkeypatch)
        until = asyncio.get_running_loop().time() + 2

        def trouble(kind: str, path: str) -> object:
            throttled = kind in kinds and asyncio.get_running_loop().time() < until
            return slow_down(kind, path) if throttled else None

        proxy.trouble = trouble  # type: ignore[assignment]
        summary = await run_async(job(bucket, tmp_path / "out"))
    assert (summary.stats.captioned, summary.exit_code) == (40, 0)


@pytest.mark.parametrize("store", ["s3"], indirect=True)
async def test_one_refused_blob_is_a_row_all_refused_end_the_run(
    store: ObjectServer, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(bucket, pictures(40))
    async with proxied(store.endpoint) as proxy:
        use(behind(store, proxy), monkeypatch)
        proxy.trouble = lambda kind, path: denied(kind, path) if path.endswith("00000.jpg") else None
        summary = await run_async(job(bucket, tmp_path / "one"))
        assert (summary.stats.captioned, summary.stats.reasons) == (39, {"unreadable": 1})
        proxy.trouble = lambda kind, path: denied(kind, path) if kind != "list" else None
        with pytest.raises((UserError, RunError), match="refuses access"):
            await run_async(job(bucket, tmp_path / "all"))


def behind(server: ObjectServer, proxy: Proxy) -> ObjectServer:
    return s3_server(proxy.endpoint) if server.scheme == "s3" else azure_server(proxy.endpoint)


def test_trouble_of_the_whole_store_is_one_sentence(
    s3: ObjectServer, azure: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    azure.create("there")
    wrong_key = azure.environ["AZURE_STORAGE_CONNECTION_STRING"].replace("Eby8", "AAAA")
    expired, elsewhere = account_sas("co", timedelta(hours=-1)), account_sas("s")
    cases: list[tuple[str, Mapping[str, str], str]] = [
        ("s3://not-there/x", {}, "There is no bucket s3://not-there"),
        ("az://not-there/x", {}, "There is no container az://not-there"),
        ("s3://any/x", {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "cannot be reached"),
        ("az://there", {"AZURE_STORAGE_CONNECTION_STRING": wrong_key}, "az://there refuses access (403"),
        ("az://there", {"AZURE_STORAGE_CONNECTION_STRING": ""}, "AZURE_STORAGE_ACCOUNT_NAME"),
        (f"{azure.endpoint}/{ACCOUNT}/there?{expired}", {}, "shared access signature (403"),
        (f"{azure.endpoint}/{ACCOUNT}/there?{elsewhere}", {}, "shared access signature (403"),
    ]
    for url, environ, said in cases:
        with monkeypatch.context() as patch:
            for name, value in environ.items():
                patch.setenv(name, value)
            with pytest.raises((UserError, RunError)) as caught:
                list(open_source(SourceOptions((url,))).list())
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)
        assert "sig=" not in str(caught.value)


async def test_the_command_says_it_and_exits(azure: ObjectServer, tmp_path: Path) -> None:
    azure.create("spoken")
    ended = await nightcap("run", f"{azure.endpoint}/{ACCOUNT}/spoken?{account_sas('s')}", "-o", tmp_path / "out")
    assert (ended.code, ended.out) == (2, "")
    [line] = ended.err.splitlines()
    assert "shared access signature" in line
    assert "sig=" not in line


async def test_a_signature_of_the_output_is_not_printed(azure: ObjectServer, tmp_path: Path) -> None:
    azure.create("kept")
    write_jpegs(tmp_path / "photos", 1)
    out = f"{azure.endpoint}/{ACCOUNT}/kept/captions?{account_sas('sco', permissions='rwdlac')}"
    environ = {"NIGHTCAP_STATE_DIR": str(tmp_path / "state")}
    for command in (("run", tmp_path / "photos", "-o", out, "--json"), ("compact", out), ("compact", out, "--json")):
        ended = await nightcap(*command, env=environ)
        assert (ended.code, "kept/captions" in ended.out) == (0, True), ended.err
        assert "sig=" not in ended.out + ended.err


@pytest.mark.parametrize("store", ["s3", "az"], indirect=True)
async def test_a_list_in_a_bucket_that_breaks_off_is_read_on(
    store: ObjectServer, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resuming, "WAITS_SECONDS", (0,) * 9)
    names = [f"{number:06}.jpg" for number in range(200_000)]
    await fill(bucket, {"list.txt": "\n".join(names).encode()})
    async with proxied(store.endpoint) as proxy:
        use(behind(store, proxy), monkeypatch)
        proxy.most_bytes = 1_000_000
        listed = await asyncio.to_thread(lambda: list(open_source(SourceOptions((f"{bucket}/list.txt",))).list()))
    assert [image.key for image in listed] == names
    assert proxy.counts["get"] + proxy.counts["range"] >= 3
