import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ImageError
from pipeline.items import SourceImage
from pipeline.sources.files import LocalFiles, key_of, path_of, uri_of

NAMES = st.binary(min_size=1, max_size=12).filter(lambda name: b"/" not in name and b"\0" not in name)
"""Whatever a file system allows as a name."""
LOOKALIKES = st.text(st.sampled_from("\\x9fa\udcff\udc9f"), min_size=1, max_size=12).map(os.fsencode)


def image(path: Path) -> SourceImage:
    return SourceImage(path.name, uri_of(str(path)), "")


@given(NAMES)
def test_a_uri_leads_back_to_the_same_bytes(name: bytes) -> None:
    uri = uri_of("/photos/" + os.fsdecode(name))
    assert uri.isascii()
    assert uri.startswith("file:///photos/")
    assert os.fsencode(path_of(uri)) == b"/photos/" + name


@given(st.sets(NAMES | LOOKALIKES, min_size=2, max_size=4))
def test_keys_are_valid_and_differ_as_the_names_do(names: set[bytes]) -> None:
    keys = {key_of(os.fsdecode(name)) for name in names}
    assert len(keys) == len(names)
    for key in keys:
        key.encode("utf-8")
        assert "/" not in key


@pytest.mark.parametrize(
    ("name", "key"),
    [
        (b"a.jpg", "a.jpg"),
        ("Zürich 1.jpg".encode(), "Zürich 1.jpg"),
        (b"Z\xfcrich.jpg", r"Z\xfcrich.jpg"),
        (rb"Z\xfcrich.jpg", r"Z\\xfcrich.jpg"),
        (rb"C\a.jpg", r"C\a.jpg"),
    ],
)
def test_keys(name: bytes, key: str) -> None:
    assert key_of(os.fsdecode(name)) == key


def test_read(tmp_path: Path) -> None:
    path = tmp_path / "50% & más.jpg"
    path.write_bytes(b"0123456789")
    files = LocalFiles(max_bytes=10)
    assert files.read(image(path)) == b"0123456789"
    assert files.read_head(image(path), 4) == b"0123"
    assert files.read_head(image(path), 4000) == b"0123456789"


def test_read_is_thread_safe(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.jpg" for number in range(20)]
    for path in paths:
        path.write_bytes(path.name.encode() * 1000)
    files = LocalFiles(max_bytes=10**6)
    wrong: list[Path] = []

    def read_all() -> None:
        wrong.extend(path for path in paths if files.read(image(path)) != path.name.encode() * 1000)

    threads = [threading.Thread(target=read_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def reason_of_reading(path: Path, max_bytes: int = 1000) -> str:
    with pytest.raises(ImageError) as failure:
        LocalFiles(max_bytes).read(image(path))
    return failure.value.reason


def test_a_file_above_the_limit_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "large.jpg").touch()
    os.truncate(tmp_path / "large.jpg", 10**12)  # a terabyte of nothing: reading it would not end
    assert reason_of_reading(tmp_path / "large.jpg") == "too_large"
    assert LocalFiles(1000).read_head(image(tmp_path / "large.jpg"), 100) == bytes(100)


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    assert reason_of_reading(tmp_path / "gone.jpg") == "unreadable"


def test_a_folder_in_place_of_a_file(tmp_path: Path) -> None:
    assert reason_of_reading(tmp_path) == "unreadable"


def test_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "link.jpg").symlink_to("link.jpg")
    assert reason_of_reading(tmp_path / "link.jpg") == "unreadable"


def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    assert reason_of_reading(tmp_path / "pipe.jpg") == "unreadable"


def test_a_file_without_permission(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch(mode=0)
    if os.access(tmp_path / "a.jpg", os.R_OK):
        pytest.skip("this account may read everything")
    assert reason_of_reading(tmp_path / "a.jpg") == "unreadable"


def test_a_file_larger_than_its_size_says_changed() -> None:
    # A file of /proc says that it has 0 bytes and gives more, as does one that grows while it is read.
    path = Path("/proc/self/status")
    if not path.exists():
        pytest.skip("no /proc here")
    assert reason_of_reading(path) == "unreadable"
