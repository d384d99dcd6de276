"""A list of URLs whose server misbehaves in every way: each image ends as one row with a reason, and the run ends."""

from pathlib import Path

import pytest

from pipeline import Job, run_async
from pipeline.emulator.app import Running
from pipeline.reasons import is_reason
from pipeline.store import iter_batches
from tests.helpers.pictures import encoded, photo
from tests.helpers.web_server import MISBEHAVIOURS, serve

pytestmark = pytest.mark.integration

WAITED_FOR = {"429", "503"}
"""The server asks to come back later, and the run does: that is tested with a clock."""


async def test_each_ends_as_a_row(tmp_path: Path, emulator: Running) -> None:
    picture = encoded(photo(96, 64))
    async with serve({"good.jpg": picture, "page.jpg": b"<html>Sorry</html>"}) as server:
        names = ["good", "page", *(name for name in MISBEHAVIOURS if name not in WAITED_FOR)]
        urls = [f"{server.url}{name}.jpg?sig=SECRET" for name in names]
        urls += ["http://169.254.169.254/latest/a.jpg", "http://[::1]:9/a.jpg", "ftp://host/a.jpg", "https:///"]
        (tmp_path / "list.txt").write_text("\n".join(urls))
        job = Job.create(
            tmp_path / "list.txt", tmp_path / "out", model="gpt-4o", base_url=emulator.base_url,
            allow_private_network=True, url_timeout_seconds=2.0, max_bytes=1_000_000,
        )  # fmt: skip
        summary = await run_async(job)
    assert summary.exit_code == 1
    columns = ["key", "uri", "status", "reason", "message", "caption"]
    rows = {row["key"]: row for batch in iter_batches(str(tmp_path / "out"), columns) for row in batch.to_pylist()}
    assert len(rows) == len(urls)
    host = server.url[7:]
    captioned = {key for key, row in rows.items() if row["status"] == "captioned"}
    assert captioned == {f"{host}good.jpg", f"{host}to-good.jpg"}
    for key, row in rows.items():
        assert "SECRET" not in str(row)
        if key not in captioned:
            assert is_reason(row["reason"]), row
            assert row["message"]
            assert row["caption"] is None
    written = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert b"SECRET" not in written
