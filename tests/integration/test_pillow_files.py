"""All files of Pillow's own tests, a thousand odd, broken and malicious ones, through one run of the command.

They are fetched with the source distribution from the package index when `--fetch` is given, as `.ci/run` does, kept in
pytest's cache and never committed.
"""

import subprocess
import sys
import tarfile
from collections import Counter
from pathlib import Path

import duckdb
import PIL
import pytest

from pipeline.emulator.options import EmulatorOptions
from tests.helpers.command import nightcap
from tests.helpers.servers import REPOSITORY, emulate

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

DOWNLOAD_SECONDS = 600
MEMORY_BYTES = 512 * 1024**2
"""Enough for the largest of these files that is decoded; a bomb would take more."""
# Ppm comes with the encoders, and is never asked to open anything.
PLUGINS = {f"PIL.{name}ImagePlugin" for name in ("Avif", "Bmp", "Gif", "Jpeg", "Png", "Tiff", "WebP", "Ppm")}
NOT_OPENED = (".eps", ".pdf", ".psd", ".fli", ".wmf", ".tga", ".dds", ".jp2", ".icns", ".ico", ".pcx", ".sgi", ".fpx")

REASONS = {
    "16bit.MM.cropped.tif": None,  # 16 bits, from a machine with the other byte order
    "fujifilm.mpo": None,  # a JPEG with a second picture behind it
    "hopper.avif": None,
    "bmp/b/reallybig.bmp": "bomb",
    "decompression_bomb.gif": "bomb",
    "png_decompression_dos.png": "bomb",
    "bmp/b/badwidth.bmp": "undecodable",
    "broken.png": "undecodable",
    "libtiff_segfault.tif": "undecodable",
    "zero_width.gif": "undecodable",
    "bmp/b/shortfile.bmp": "truncated_file",
    "truncated_image.png": "truncated_file",
    "truncated_jpeg.jpg": "truncated_file",
    "bmp/q/pal2.bmp": "unsupported_format",
    "hopper_unknown_pixel_mode.tif": "unsupported_format",
}
"""What a person who looks at these files says of them."""

# Prepares every file in one process and tells which of Pillow's plugins were loaded.
PREPARE = """
import sys
from pathlib import Path
from pipeline.errors import ImageError
from pipeline.images import ImageOptions, prepare

for path in Path(sys.argv[1]).rglob("*"):
    if path.is_file():
        try:
            prepare(path.read_bytes(), lambda width, height: (max(1, width // 2), max(1, height // 2)), ImageOptions())
        except ImageError:
            pass
print(*(name for name in sys.modules if name.startswith("PIL.") and name.endswith("ImagePlugin")))
"""


@pytest.fixture(scope="module")
def images(request: pytest.FixtureRequest) -> Path:
    """`Tests/images` of the Pillow that is installed."""
    assert request.config.cache
    cache = request.config.cache.mkdir("pillow")
    name = f"pillow-{PIL.__version__}"
    folder = Path(cache, name, "Tests", "images")
    if not folder.is_dir():
        if not request.config.getoption("--fetch"):
            pytest.skip("the files of Pillow's tests are not here; --fetch gets them from the package index")
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", "pillow", "-d", str(cache)]
        command = [*pip, name.replace("-", "==")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS)
        if done.returncode:
            pytest.skip(f"no Pillow from the package index: {done.stderr.strip().splitlines()[-1]}")
        [archive] = Path(cache).glob(f"{name}.tar.*")
        with tarfile.open(archive) as files:
            files.extractall(cache, filter="data", members=[m for m in files if f"{name}/Tests/images" in m.name])
        archive.unlink()
    return folder


async def test_one_row_each_with_a_sensible_reason(images: Path, tmp_path: Path) -> None:
    job = tmp_path / "job.toml"
    async with emulate(EmulatorOptions(decode=True)) as emulator:
        job.write_text(
            f"out = 'out'\n[source]\npaths = ['{images}']\ninclude = ['**/*']\nhidden = true\n"
            f"[model]\nname = 'gpt-4o'\nbase_url = '{emulator.base_url}'\n[run]\nmax_prepare_bytes = {MEMORY_BYTES}\n"
        )
        ended = await nightcap("run", job)
    assert ended.code == 1, ended.err
    assert "Traceback" not in ended.err
    rows = duckdb.sql(f"SELECT key, reason, message, status FROM '{tmp_path}/out/*.parquet'").fetchall()
    reasons = {key: reason for key, reason, _, _ in rows}
    files = [str(path.relative_to(images)) for path in images.rglob("*") if path.is_file()]
    assert len(rows) > 1000
    assert sorted(reasons) == sorted(files)
    assert {key: reasons[key] for key in REASONS if key in reasons} == {
        key: reason for key, reason in REASONS.items() if key in reasons
    }
    assert {reasons[file] for file in files if file.endswith(NOT_OPENED)} == {"unsupported_format"}
    # None crashed its process, took too long or too much memory, nor did the endpoint refuse what was made of one.
    assert not [row for row in rows if row[1] and "cannot be decoded: " in row[2]]
    counts = Counter(reasons.values())
    assert set(counts) == {None, "unsupported_format", "undecodable", "truncated_file", "bomb", "too_large"}
    assert counts[None] > 600
    assert emulator.stats.answered == emulator.stats.requests
    assert emulator.stats.mime_mismatches == 0


def test_pillow_opens_no_other_formats(images: Path) -> None:
    command = [sys.executable, "-c", PREPARE, str(images)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert {"PIL.PngImagePlugin", "PIL.TiffImagePlugin"} <= set(done.stdout.split()) <= PLUGINS
