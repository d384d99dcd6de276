"""Archives, honest and hostile: which images they hold, under which keys, and what becomes of the others."""

import io
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ImageError, UserError
from pipeline.items import SourceImage
from pipeline.sources import Source, SourceOptions, open_source
from tests.sources.making import make

FILES = {"a.jpg": b"picture a", "deep/er/b.PNG": b"picture b" * 5000, "a.txt": b"a caption", "empty.webp": b""}


def source_of(*paths: Path | str, **options: Any) -> Source:
    return open_source(SourceOptions(tuple(map(str, paths)), **options))


def write_tar(
    path: Path, files: dict[str, bytes], mode: Any = "w", mtime: int = 7, format: int = tarfile.PAX_FORMAT
) -> Path:
    with tarfile.open(path, mode, format=format) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), mtime
            archive.addfile(info, io.BytesIO(data))
    return path


def write_zip(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def written(folder: Path, name: str, files: dict[str, bytes]) -> Path:
    if name.endswith(".zip"):
        return write_zip(folder / name, files)
    return write_tar(folder / name, files, "w:gz" if name.endswith("gz") else "w")


def outcomes(source: Source) -> dict[str, object]:
    """By key: the bytes, or the reason why there are none."""
    found: dict[str, object] = {}
    for image in source.list():
        if image.failure:
            found[image.key] = image.failure.reason
            continue
        try:
            found[image.key] = source.read(image)
        except ImageError as error:
            found[image.key] = error.reason
    return found


@pytest.mark.parametrize("name", ["x.tar", "x.tar.gz", "x.tgz", "x.zip", "X.ZIP"])
def test_the_images_of_an_archive(tmp_path: Path, name: str) -> None:
    if name == "X.ZIP":
        write_zip(tmp_path / name, FILES, zipfile.ZIP_STORED)
    else:
        written(tmp_path, name, FILES)
    source = source_of(tmp_path / name)
    assert outcomes(source) == {
        f"{name}::a.jpg": FILES["a.jpg"],
        f"{name}::deep/er/b.PNG": FILES["deep/er/b.PNG"],
        f"{name}::empty.webp": b"",
    }
    first, second, _ = source.list()
    assert (first.bytes, second.bytes) == (9, 45000)
    assert source.read_head(second, 20) == FILES["deep/er/b.PNG"][:20]
    assert first.uri.startswith(f"file://{tmp_path}/{name}#")
    elsewhere = source_of(tmp_path / name)  # another process: options and the image, nothing else
    assert elsewhere.read(second) == FILES["deep/er/b.PNG"]


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_names_of_every_kind(tmp_path: Path, format: int) -> None:
    names = ["größe 100%.jpg", "a#b?.jpg"] + (["x" * 200 + ".jpg"] if format != tarfile.USTAR_FORMAT else [])
    files = {name: name.encode() for name in names}
    assert outcomes(source_of(write_tar(tmp_path / "x.tar", files, format=format))) == {
        f"x.tar::{name}": data for name, data in files.items()
    }
    assert outcomes(source_of(write_zip(tmp_path / "x.zip", files))) == {
        f"x.zip::{name}": data for name, data in files.items()
    }


def test_shards(tmp_path: Path) -> None:
    for number in range(8, 12):
        write_tar(tmp_path / f"s-{number:03}.tar", {"0.jpg": b"%d" % number, "0.json": b"{}"})
    expected = {f"s-{number:03}.tar::0.jpg": b"%d" % number for number in range(8, 12)}
    assert outcomes(source_of(f"{tmp_path}/s-{{008..011}}.tar")) == expected
    assert outcomes(source_of(f"{tmp_path}/s-*.tar")) == expected
    with pytest.raises(UserError, match=r"s-012\.tar"):
        source_of(f"{tmp_path}/s-{{008..012}}.tar")


def test_shards_of_several_folders_are_told_apart(tmp_path: Path) -> None:
    for folder in ("train", "test"):
        (tmp_path / folder).mkdir()
        write_tar(tmp_path / folder / "0.tar", {"a.jpg": folder.encode()})
    assert outcomes(source_of(f"{tmp_path}/{{train,test}}/0.tar")) == {
        "train/0.tar::a.jpg": b"train",
        "test/0.tar::a.jpg": b"test",
    }


def test_an_archive_among_several_sources(tmp_path: Path) -> None:
    make(tmp_path, "folder/a.jpg")
    write_zip(tmp_path / "x.zip", {"a.jpg": b"zip"})
    write_tar(tmp_path / "y.tar", {"a.jpg": b"tar"})
    assert outcomes(source_of(tmp_path / "folder", tmp_path / "x.zip", f"other={tmp_path}/y.tar")) == {
        "folder/a.jpg": b"folder/a.jpg",
        "x.zip::a.jpg": b"zip",
        "other/y.tar::a.jpg": b"tar",
    }
    (tmp_path / "folder/x.zip").write_bytes((tmp_path / "x.zip").read_bytes())
    with pytest.raises(UserError, match=r"x\.zip.*folder/x\.zip"):
        source_of(tmp_path / "x.zip", tmp_path / "folder/x.zip")


def test_include_exclude_hidden(tmp_path: Path) -> None:
    path = write_zip(
        tmp_path / "x.zip", {"a.jpg": b"", "b.dat": b"", "t/a.jpg": b"", "__MACOSX/._a.jpg": b"", ".c.jpg": b""}
    )
    assert list(outcomes(source_of(path))) == ["x.zip::a.jpg", "x.zip::t/a.jpg"]
    assert list(outcomes(source_of(path, include=("*.dat",)))) == ["x.zip::b.dat"]
    assert list(outcomes(source_of(path, exclude=("t",)))) == ["x.zip::a.jpg"], "a folder with all that is in it"
    assert list(outcomes(source_of(path, exclude=("t/**",), hidden=True)))[1:] == [
        "x.zip::__MACOSX/._a.jpg",
        "x.zip::.c.jpg",
    ]


def versions(source: Source) -> list[str]:
    return [image.version for image in source.list()]


def test_a_version_is_the_members_own(tmp_path: Path) -> None:
    first = versions(source_of(write_zip(tmp_path / "x.zip", {"a.jpg": b"one", "b.jpg": b"two"})))
    again = versions(source_of(write_zip(tmp_path / "x.zip", {"a.jpg": b"one", "b.jpg": b"2.."})))
    assert (first[0], first[1] != again[1]) == (again[0], True)
    assert versions(source_of(write_tar(tmp_path / "x.tar", {"a.jpg": b"one"}))) == ["3-7"]
    still = versions(source_of(write_tar(tmp_path / "y.tar", {"a.jpg": b"one"}, mtime=0)))
    assert still != versions(source_of(write_tar(tmp_path / "y.tar", {"a.jpg": b"1.."}, mtime=0)))


def test_members_that_are_no_plain_files(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for name, kind, target in (
            ("soft.jpg", tarfile.SYMTYPE, "/etc/passwd"),
            ("hard.jpg", tarfile.LNKTYPE, "a.jpg"),
            ("device.jpg", tarfile.CHRTYPE, ""),
            ("pipe.jpg", tarfile.FIFOTYPE, ""),
            ("folder.jpg", tarfile.DIRTYPE, ""),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            archive.addfile(info)
    assert outcomes(source_of(tmp_path / "x.tar")) == {"x.tar::soft.jpg": "link", "x.tar::hard.jpg": "link"}


@pytest.mark.parametrize("name", ["x.tar", "x.zip"])
def test_names_that_lead_elsewhere(tmp_path: Path, name: str) -> None:
    files = {"../up.jpg": b"1", "/abs/olute.jpg": b"2", "a/../../b.jpg": b"3", "./fine.jpg": b"4"}
    assert outcomes(source_of(written(tmp_path, name, files))) == {
        f"{name}::../up.jpg": "unsafe_path",
        f"{name}::abs/olute.jpg": b"2",
        f"{name}::a/../../b.jpg": "unsafe_path",
        f"{name}::fine.jpg": b"4",
    }


def test_a_name_twice_in_one_archive(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for data in (b"first", b"second"):
            info = tarfile.TarInfo("a.jpg")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    assert outcomes(source_of(tmp_path / "x.tar")) == {"x.tar::a.jpg": b"first", "x.tar::a.jpg#2": "duplicate_name"}


def test_an_encrypted_member_and_a_foreign_method(tmp_path: Path) -> None:
    write_zip(tmp_path / "x.zip", {"a.jpg": b"a"})
    write_zip(tmp_path / "y.zip", {"a.jpg": b"a"}, zipfile.ZIP_LZMA)
    data = bytearray((tmp_path / "x.zip").read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "x.zip").write_bytes(data)
    assert outcomes(source_of(tmp_path / "x.zip")) == {"x.zip::a.jpg": "encrypted"}
    assert outcomes(source_of(tmp_path / "y.zip")) == {"y.zip::a.jpg": "unsupported_compression"}


def patched(path: Path, place: int, format: str, value: int) -> Path:
    """The zip at `path` with a field of the first entry of its directory changed."""
    data = bytearray(path.read_bytes())
    struct.pack_into(format, data, data.index(b"PK\x01\x02") + place, value)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        (24, 5, "unreadable"),  # says that it unpacks to 5 bytes
        (24, 10**9, "too_large"),  # to a gigabyte
        (20, 2**31, "unreadable"),  # has two packed gigabytes
        (16, 0xDEADBEEF, "unreadable"),  # another checksum
        (42, 10_000, "unreadable"),  # lies behind the end
    ],
)
def test_a_directory_that_lies(tmp_path: Path, place: int, value: int, reason: str) -> None:
    path = patched(write_zip(tmp_path / "x.zip", {"a.jpg": b"picture" * 1000}), place, "<I", value)
    assert outcomes(source_of(path)) == {"x.zip::a.jpg": reason}


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    """A gigabyte of zeros in a megabyte; once honest about it, once saying that it is small."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = b"".join(packer.compress(bytes(10**6)) for _ in range(100)) + packer.flush()
    write_zip(tmp_path / "x.zip", {"a.jpg": b"?" * len(bomb)}, zipfile.ZIP_STORED)
    data = (tmp_path / "x.zip").read_bytes().replace(b"?" * len(bomb), bomb)
    (tmp_path / "x.zip").write_bytes(data)
    patched(tmp_path / "x.zip", 10, "<H", zipfile.ZIP_DEFLATED)
    patched(tmp_path / "x.zip", 24, "<I", 10**8)
    assert outcomes(source_of(tmp_path / "x.zip", max_bytes=10**7)) == {"x.zip::a.jpg": "too_large"}
    patched(tmp_path / "x.zip", 24, "<I", 1000)
    assert outcomes(source_of(tmp_path / "x.zip", max_bytes=10**7)) == {"x.zip::a.jpg": "unreadable"}


def test_zip64(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive, archive.open("a.jpg", "w", force_zip64=True) as member:
        member.write(b"picture")
    assert outcomes(source_of(tmp_path / "x.zip")) == {"x.zip::a.jpg": b"picture"}


@pytest.mark.parametrize("name", ["x.tar", "x.zip", "x.tar.gz"])
def test_what_is_no_archive_is_a_row(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"<html>not found</html>" * 100)
    assert outcomes(source_of(tmp_path / name)) == {f"{name}::": "unreadable"}


@pytest.mark.parametrize("name", ["x.tar", "x.tar.gz"])
def test_an_archive_that_is_cut_off(tmp_path: Path, name: str) -> None:
    import random

    noise = random.Random(0).randbytes(300_000)
    path = written(tmp_path, name, {f"{number}.jpg": noise for number in range(4)})
    path.write_bytes(path.read_bytes()[:700_000])
    found = outcomes(source_of(path))
    assert [found[f"{name}::{number}.jpg"] for number in (0, 1)] == [noise, noise]
    assert set(list(found.values())[2:]) == {"unreadable"}
    assert f"{name}::" in found, "what comes after the cut is missed by nobody knowing"


@pytest.mark.parametrize("damage", ["overwritten", "cut off"])
def test_a_damaged_header_is_not_the_end(tmp_path: Path, damage: str) -> None:
    path = write_tar(tmp_path / "x.tar", {f"{number}.jpg": b"picture" for number in range(4)})
    data, third = path.read_bytes(), 2 * 2 * 512
    path.write_bytes(data[:third] + b"\7" * 512 + data[third + 512 :] if damage == "overwritten" else data[: third + 9])
    assert list(outcomes(source_of(path))) == ["x.tar::0.jpg", "x.tar::1.jpg", "x.tar::"]


def test_a_tar_header_that_points_backwards_ends(tmp_path: Path) -> None:
    """CVE-2025-8194: a pax header with a negative size sends an older tarfile in circles."""
    write_tar(tmp_path / "x.tar", {"a.jpg": b"a", "b.jpg": b"b"})
    data = bytearray((tmp_path / "x.tar").read_bytes())
    data[1024 + 124 : 1024 + 136] = b"\xff" * 10 + b"\xfe\x00"  # -512 in base 256: this header again
    data[1024 + 148 : 1024 + 156] = b" " * 8
    data[1024 + 148 : 1024 + 156] = b"%06o\0 " % sum(data[1024:1536])
    (tmp_path / "x.tar").write_bytes(data)
    assert outcomes(source_of(tmp_path / "x.tar"))["x.tar::"] == "unreadable"


def test_a_gzipped_tar_is_unpacked_once_in_order_and_found_again_behind(tmp_path: Path, monkeypatch: Any) -> None:
    from pipeline.sources.archives import gunzip

    monkeypatch.setattr(gunzip, "SPAN", 50_000)
    monkeypatch.setattr(gunzip, "MOST_MARKS", 5)
    files = {f"{number:03}.jpg": b"%d" % number * 9000 for number in range(60)}
    source = source_of(write_tar(tmp_path / "x.tgz", files, "w:gz"))
    images: list[SourceImage] = list(source.list())
    for number in (3, 50, 2, 59, 0, 30, 29, 31):
        assert source.read(images[number]) == files[f"{number:03}.jpg"]


def test_a_gzip_of_several_members(tmp_path: Path) -> None:
    import gzip

    write_tar(tmp_path / "plain.tar", FILES)
    data = (tmp_path / "plain.tar").read_bytes()
    pieces = [gzip.compress(data[start : start + 7000]) for start in range(0, len(data), 7000)]
    (tmp_path / "x.tgz").write_bytes(b"".join(pieces) + bytes(512))
    assert list(outcomes(source_of(tmp_path / "x.tgz")).values()) == [
        FILES[name] for name in ("a.jpg", "deep/er/b.PNG", "empty.webp")
    ]


def test_damage_of_one_member_costs_this_one_alone(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.zip", {f"{n}.jpg": b"%d" % n * 3000 for n in range(3)})
    data = bytearray(path.read_bytes())
    data[data.index(b"1.jpg") + 10] ^= 0xFF
    path.write_bytes(data)
    assert list(outcomes(source_of(path)).values()) == [b"0" * 3000, "unreadable", b"2" * 3000]
