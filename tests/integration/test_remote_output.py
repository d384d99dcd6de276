"""The installed command writes to S3 and Azure: a machine that is lost costs a part at most, another one finishes."""

import asyncio
import json
import shutil
import signal
from pathlib import Path
from urllib.parse import unquote

import obstore
import pytest

from pipeline.emulator.options import EmulatorOptions
from pipeline.objects import open_objects
from pipeline.store import iter_batches, read_status
from tests.helpers.command import nightcap, start_nightcap
from tests.helpers.folders import write_small_jpegs
from tests.helpers.object_stores import ACCOUNT, ObjectServer, account_sas
from tests.helpers.servers import emulate

pytestmark = pytest.mark.integration

IMAGES = 56
PART = 16
IN_FLIGHT = 8


async def test_a_lost_machine_costs_a_part_at_most(tmp_path: Path, store: ObjectServer) -> None:
    out = store.create("lost-machine") + "/captions"
    write_small_jpegs(tmp_path / "photos", IMAGES)
    (tmp_path / "job.toml").write_text(
        f"out = '{out}'\n[source]\npaths = ['photos']\n[limits]\nconcurrency = {IN_FLIGHT}\n"
        f"[store]\nrows_per_part = {PART}\n"
    )
    async with emulate(EmulatorOptions(latency=1.0)) as emulator:
        command = ("run", tmp_path / "job.toml", "-m", "gpt-4o", "--base-url", emulator.base_url, "--json")
        lost = await start_nightcap(*command, env={"NIGHTCAP_STATE_DIR": str(tmp_path / "lost")})
        while emulator.stats.answered < IMAGES // 2:  # two seconds after the first part
            assert lost.is_running
            await asyncio.sleep(0.02)
        lost.signal(signal.SIGKILL)
        await lost.ended()
        shutil.rmtree(tmp_path / "lost")
        kept = read_status(out).rows
        answered = emulator.stats.answered
        assert answered - kept <= PART + IN_FLIGHT
        assert kept >= PART

        other = await nightcap(*command, env={"NIGHTCAP_STATE_DIR": str(tmp_path / "other")})
        assert other.code == 0, other.err
        assert json.loads(other.out)["skipped"] == kept
        assert emulator.stats.answered == answered + IMAGES - kept
    keys = [key for batch in iter_batches(out, ["key"]) for key in batch["key"].to_pylist()]
    assert len(keys) == len(set(keys)) == IMAGES


async def test_a_signature_is_written_nowhere(
    tmp_path: Path, azure: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OUT as the address of a container with a signature, and no other credentials."""
    azure.create("signed-output")
    monkeypatch.delenv("AZURE_STORAGE_CONNECTION_STRING")
    monkeypatch.setenv("NIGHTCAP_STATE_DIR", str(tmp_path / "state"))
    base, signature = f"{azure.endpoint}/{ACCOUNT}/signed-output/captions", account_sas("sco")
    write_small_jpegs(tmp_path / "photos", 3)
    done = await nightcap("run", tmp_path / "photos", "-o", f"{base}?{signature}")
    assert done.code == 0, done.err
    assert base in done.err
    told = await nightcap("status", f"{base}?{signature}", "--json")
    assert json.loads(told.out)["rows"] == 3

    objects = open_objects(f"{base}?{signature}").store
    keys = [meta["path"] for page in obstore.list(objects) for meta in page]
    assert len(keys) == 4, "a part, the lock, the job, the run"
    written = [bytes(obstore.get(objects, key).bytes()) for key in keys]
    written += [path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file()]
    secret = signature.rpartition("sig=")[2]
    for text in (*(one.out + one.err for one in (done, told)), *(content.decode("latin-1") for content in written)):
        assert secret not in text
        assert unquote(secret) not in text
