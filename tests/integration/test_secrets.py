"""No secret leaves: whatever quotes one, it is in no output, no log, no exception, no file of the result."""

import asyncio
import gzip
import logging
import os
import signal
import traceback
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline import Job, run_async
from pipeline.errors import NightcapError
from pipeline.store import read_status
from tests.helpers.called import called
from tests.helpers.command import nightcap, start_nightcap
from tests.helpers.folders import write_small_jpegs
from tests.helpers.scripted_server import ScriptedServer, http

OPENAI_KEY = "sk-proj-Ab12Cd34Ef56Gh78Ij90"
AZURE_KEY = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.SflKxwRJSMeKKF2QT4fw"
SIGNATURE = "Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmE"
SAS = f"sv=2024-11-04&sr=c&se=2027-01-01&sp=rl&sig={SIGNATURE}%3D"
PRESIGNED = "9f86d081884c7d659a2feaa0c55ad0159f86d081884c7d659a2feaa0c55ad015"
PASSWORD = "hunter2-correct-horse"
SECRETS = (OPENAI_KEY, AZURE_KEY, JWT, SIGNATURE, PRESIGNED, PASSWORD)

LEAKS = (
    f"https://bob:{PASSWORD}@acct.blob.core.windows.net/photos/cat.jpg?{SAS}",
    f"https://b.s3.amazonaws.com/cat.jpg?X-Amz-Credential=AKIAIOSFODNN7EXAMPLE&X-Amz-Signature={PRESIGNED}",
    f"authorization: Bearer {JWT}",
    f"proxy said: Basic auth of http://bob:{PASSWORD}@proxy.local:3128 failed",
    f"AccountName=acct;AccountKey={AZURE_KEY}==;SharedAccessSignature={SAS}",
)
"""What a server, a proxy or an object store may tell of others' secrets."""


def check(*texts: str) -> None:
    for text in texts:
        assert [secret for secret in SECRETS if secret in text] == []


def check_files(folder: Path) -> None:
    """Names and bytes of all files, and of Parquet, which is compressed, values and metadata."""
    for path in folder.rglob("*"):
        check(str(path))
        if path.is_file():
            content = path.read_bytes()
            check((gzip.decompress(content) if path.suffix == ".gz" else content).decode("latin-1"))
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            check(str(table.to_pylist()), str(table.schema.metadata), str(pq.read_metadata(path)))


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    scripted = ScriptedServer()
    await scripted.start()
    yield scripted
    await scripted.stop()


def quoting(server: ScriptedServer, answer: Callable[[str], bytes]) -> Callable[[asyncio.StreamWriter], object]:
    """An answer made of the very headers that the server was sent, and of what it knows of others."""

    async def write(writer: asyncio.StreamWriter) -> None:
        said = "; ".join(f"{name}: {value}" for name, value in server.requests[-1].headers.items())
        writer.write(answer(f"{said}; {'; '.join(LEAKS)}"))
        await writer.drain()

    return write


def key_alone(text: str) -> str:
    return text.partition("api-key: ")[2].partition(";")[0]


def completion(text: str) -> dict[str, object]:
    return {"choices": [{"message": {"content": text}, "finish_reason": "stop"}], "model": f"gpt-4o {text}"}


ROWS = {
    "bad request": lambda text: http(400, {"error": {"message": text, "code": "bad", "param": text}}),
    "web page": lambda text: http(400, f"<html><title>{text}</title>".encode()),
    "plain text": lambda text: http(422, text.encode()),
    "validation": lambda text: http(422, {"detail": [{"loc": ["body", text], "msg": text}]}),
    "filtered": lambda text: http(400, {"error": {"message": text, "code": "content_filter"}}),
    "200 with an error": lambda text: http(200, {"error": {"message": text}}),
    "caption of the key": lambda text: http(200, completion(f"A sign that says {key_alone(text)}")),
    "refusal of the key": lambda text: http(200, {"choices": [{"message": {"refusal": key_alone(text)}}]}),
    "request id": lambda text: http(400, {"error": {"message": "no"}}, x_request_id=text),
    "no JSON": lambda text: http(200, text.encode()),
    "not HTTP": lambda text: f"HTTP/1.1 2{text}\r\n\r\n".encode(),
    "a bad header": lambda text: f"HTTP/1.1 400 No\r\nBad\x01Header: {text}\r\n\r\n".encode(),
}
"""Answers that end as rows."""
STOPS = {
    "unauthorized": lambda text: http(401, {"error": {"message": text}}),
    "quota": lambda text: http(429, {"error": {"message": text, "code": "insufficient_quota"}}),
    "redirect": lambda text: http(302, b"", Location=f"https://bob:{PASSWORD}@elsewhere/{key_alone(text)}?{SAS}"),
    "not found": lambda text: http(404, {"error": {"message": text, "code": "model_not_found"}}),
}
"""Answers that stop the run."""


async def run_here(tmp_path: Path, server: ScriptedServer, answers: Iterable[object], images: int) -> str:
    """Run against answers that quote; all that can be seen of an error, if there is one."""
    write_small_jpegs(tmp_path / "photos", images)
    server.answers.extend(answers)  # type: ignore[arg-type]
    job = Job.create(
        tmp_path / "photos", tmp_path / "out", model="azure:dep", azure_model="gpt-4o", base_url=server.address,
        concurrency=1, max_attempts=1, patience_seconds=2, timeout_seconds=10,
        keep_raw=True,
    )  # fmt: skip
    try:
        await run_async(job)
    except NightcapError as error:
        return "".join(traceback.format_exception(error))
    return ""


@pytest.fixture
def azure_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", AZURE_KEY)


@pytest.mark.usefixtures("azure_key")
async def test_rows_of_an_endpoint_that_quotes_them(
    tmp_path: Path, server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        told = await run_here(tmp_path, server, [quoting(server, answer) for answer in ROWS.values()], len(ROWS))
    assert told == ""
    assert read_status(str(tmp_path / "out")).rows == len(ROWS)
    check(caplog.text)
    check_files(tmp_path / "out")
    assert read_status(str(tmp_path / "out")).raw_files == 1
    captions = [row["caption"] for row in pq.read_table(tmp_path / "out").to_pylist() if row["caption"]]
    assert captions == ["A sign that says [redacted]"]


@pytest.mark.usefixtures("azure_key")
@pytest.mark.parametrize("name", STOPS)
async def test_an_endpoint_that_stops_the_run_and_quotes_them(
    tmp_path: Path, server: ScriptedServer, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    with caplog.at_level(logging.DEBUG):
        told = await run_here(tmp_path, server, [quoting(server, STOPS[name])], images=2)
    assert "RunError" in told
    check(told, caplog.text)
    check_files(tmp_path / "out")


@pytest.mark.integration
async def test_the_command_and_an_endpoint_that_quotes_them(tmp_path: Path, server: ScriptedServer) -> None:
    write_small_jpegs(tmp_path / "photos", 3)
    server.answers.extend([quoting(server, answer) for answer in (*list(ROWS.values())[:2], STOPS["unauthorized"])])  # type: ignore[misc]
    command = ("run", tmp_path / "photos", "-o", tmp_path / "out", "-m", "gpt-4o", "--concurrency", "1")
    ended = await nightcap(*command, "--base-url", server.address, env={"OPENAI_API_KEY": OPENAI_KEY})
    assert ended.code == 3, ended.err
    assert "[redacted]" in ended.err
    check(ended.out, ended.err)
    check_files(tmp_path / "out")

    doctor = await nightcap("doctor", "-m", "gpt-4o", "--base-url", server.address, env={"OPENAI_API_KEY": OPENAI_KEY})
    assert "NO endpoint" in doctor.out
    check(doctor.out, doctor.err)


@pytest.mark.integration
async def test_a_proxy_with_a_password(tmp_path: Path, server: ScriptedServer) -> None:
    server.answers.append(quoting(server, lambda text: http(407, text.encode())))  # type: ignore[arg-type]
    write_small_jpegs(tmp_path / "photos", 1)
    env = {"HTTP_PROXY": server.address.replace("://", f"://bob:{PASSWORD}@"), "OPENAI_API_KEY": OPENAI_KEY}
    command = ("run", tmp_path / "photos", "-o", tmp_path / "out", "-m", "gpt-4o")
    ended = await nightcap(*command, "--base-url", "http://api.example/v1", env=env)
    assert server.requests
    check(ended.out, ended.err)
    check_files(tmp_path / "out")


SIGNED = f"http://bob:{PASSWORD}@127.0.0.1:1/acct/photos?{SAS}"
JOBS = {
    "a signed source of the wrong type": f"out = 'out'\n[source]\npaths = '{SIGNED}'\n",
    "a signature for no container": f"out = 'out'\n[source]\npaths = ['https://acct.blob.core.windows.net/?{SAS}']\n",
    "a key": f"out = 'out'\n[source]\npaths = ['photos']\n[model]\napi_key = '{OPENAI_KEY}'\n",
    "no TOML": f"out = 'out'\nkey = {OPENAI_KEY}\n",
    "an address with a password": (
        f"out = 'out'\n[source]\npaths = ['photos']\n[model]\nname = 'gpt-4o'\nbase_url = 'http://x:{PASSWORD}@h/v1'\n"
    ),
    "an address with a signature": (
        f"out = 'out'\n[source]\npaths = ['photos']\n[model]\nname = 'gpt-4o'\nbase_url = 'http://h/v1?{SAS}'\n"
    ),
    "a webhook in place of its variable": (
        f"out = 'out'\n[source]\npaths = ['photos']\n[notify]\nwebhook_variable = 'http://127.0.0.1:1/T0/{PRESIGNED}'\n"
    ),
    "a number that is an address": f"out = 'out'\n[source]\npaths = ['photos']\n[limits]\nrpm = '{SIGNED}'\n",
}


@pytest.mark.parametrize("name", JOBS)
def test_job_files_that_hold_what_they_should_not(tmp_path: Path, name: str) -> None:
    write_small_jpegs(tmp_path / "photos", 1)
    job = tmp_path / "job.toml"
    job.write_text(JOBS[name])
    for command in (("run", job), ("run", job, "--dry-run"), ("estimate", job), ("doctor", job)):
        ended = called(*command)
        check(ended.out, ended.err)
    job.unlink()
    check_files(tmp_path)


@pytest.mark.integration
async def test_an_object_store_that_refuses_and_quotes_them(tmp_path: Path, server: ScriptedServer) -> None:
    server.answers.append(quoting(server, lambda text: http(403, f"<Code>Refused</Code> {text}".encode())))  # type: ignore[arg-type]
    write_small_jpegs(tmp_path / "photos", 1)
    container = f"{server.address}/acct/photos?{SAS}"
    for command in (
        ("run", container, "-o", tmp_path / "out"),
        ("run", tmp_path / "photos", "-o", container),
        ("estimate", container, "-m", "gpt-4o"),
        ("doctor", container, "-o", container),
    ):
        ended = await nightcap(*command)
        assert ended.code in (2, 3), ended.err
        assert "403" in ended.out + ended.err
        check(ended.out, ended.err)
    assert SIGNATURE in server.requests[0].target
    check_files(tmp_path)


@pytest.mark.integration
async def test_a_webhook_that_refuses_and_quotes_its_own_address(tmp_path: Path, server: ScriptedServer) -> None:
    server.answers.append(quoting(server, lambda text: http(404, f"{server.requests[-1].target} {text}".encode())))  # type: ignore[arg-type]
    write_small_jpegs(tmp_path / "photos", 1)
    job = tmp_path / "job.toml"
    job.write_text("out = 'out'\n[source]\npaths = ['photos']\n[notify]\nwebhook_variable = 'HOOK'\n")
    ended = await nightcap("run", job, env={"HOOK": f"{server.address}/services/{PRESIGNED}?token={SIGNATURE}"})
    assert PRESIGNED in server.requests[0].target
    assert "404" in ended.err
    check(ended.out, ended.err)
    check_files(tmp_path)


@pytest.mark.integration
async def test_the_emulator_keeps_its_key(tmp_path: Path) -> None:
    started = await start_nightcap("emulate", "--port", "0", env={"NIGHTCAP_EMULATOR_KEY": OPENAI_KEY})
    await asyncio.sleep(2)
    started.signal(signal.SIGTERM)
    ended = await started.ended()
    check(ended.out, ended.err)
    assert os.environ.get("OPENAI_API_KEY") is None
