"""One output over several runs: resume, replace, cut, merge, refuse, and what the disk may do to us."""

import json
import shutil
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import RunError, UserError
from pipeline.store import SCHEMA, StoreOptions, compact, open_store
from pipeline.store.dataset import Store
from tests.store.rows import REQUEST, RUN, SetClock, image, row, store


def parts(root: Path) -> list[str]:
    return sorted(path.name for path in root.glob("*.parquet"))


def content(root: Path) -> list[tuple[str, str]]:
    """(key, caption) as a reader of the plain files sees them, in their order."""
    tables = [pq.read_table(root / name) for name in parts(root)]
    return [(item["key"], item["caption"]) for table in tables for item in table.to_pylist()]


def opened(out: Path | str, clock: SetClock | None = None, request: str = REQUEST) -> Store:
    return open_store(str(out), StoreOptions(), clock or SetClock(), RUN, request)


def test_a_finished_row_is_not_asked_again(tmp_path: Path) -> None:
    with store(tmp_path) as first:
        first.append([row("done"), row("broken", status="failed", reason="undecodable")])
        first.append(
            [row(reason, status="failed", reason=reason) for reason in ("timeout", "server_error", "rate_limited")]
        )
        assert first.finished_status(image("done")) == "captioned"
    with store(tmp_path) as second:
        assert second.finished_status(image("done")) == "captioned"
        assert second.finished_status(image("broken")) == "failed"
        assert second.finished_status(image("done"))
        for key, version in [
            ("done", "v2"),
            ("timeout", "v1"),
            ("server_error", "v1"),
            ("rate_limited", "v1"),
            ("new", "v1"),
        ]:
            assert not second.finished_status(image(key, version))


def test_rows_of_another_request_are_counted_and_asked_again(tmp_path: Path) -> None:
    with store(tmp_path) as first:
        first.append([row("a"), row("b"), row("c")])
    with opened(tmp_path, request="request-2") as second:
        assert second.other_requests == 3
        assert not second.finished_status(image("a"))
        second.append([row("a", request_hash="request-2")])
        assert second.finished_status(image("a"))
    with opened(tmp_path) as third:
        assert third.other_requests == 1
        assert third.finished_status(image("b"))


def test_a_part_is_cut_by_rows_and_sorted_by_key(tmp_path: Path) -> None:
    with store(tmp_path, rows_per_part=3) as running:
        running.append([row("c"), row("a")])
        assert parts(tmp_path) == []
        running.append([row("d"), row("b")])
        assert parts(tmp_path) == [f"part-00000001-{RUN}.parquet"]
        assert [key for key, _ in content(tmp_path)] == ["a", "b", "c", "d"]
    assert len(parts(tmp_path)) == 1


def test_a_part_is_cut_by_time_also_when_nothing_comes(tmp_path: Path) -> None:
    clock = SetClock()
    with opened(tmp_path, clock) as running:
        clock.now += 1000  # counts from the first row, not from the opening
        running.append([row("a")])
        clock.now += 299
        running.append([row("b")])
        running.append([])
        assert parts(tmp_path) == []
        clock.now += 1
        running.append([])
        assert [key for key, _ in content(tmp_path)] == ["a", "b"]
        clock.now += 1000
        running.append([])
        assert len(parts(tmp_path)) == 1


def test_the_newest_row_of_a_key_replaces_the_others(tmp_path: Path) -> None:
    with store(tmp_path) as first:
        first.append([row("a"), row("b"), row("c")])
    with store(tmp_path) as second:
        second.append([row("b", "v2"), row("b", "v3")])
        second.append([row("d"), row("b", "v4")])
        assert second.finished_status(image("b", "v4"))
        assert not second.finished_status(image("b", "v1"))
    assert content(tmp_path) == [
        (key, f"caption of {key} {v}") for key, v in [("b", "v4"), ("d", "v1"), ("a", "v1"), ("c", "v1")]
    ]


def test_a_part_without_any_newest_row_goes(tmp_path: Path) -> None:
    for version in ("v1", "v2"):
        with store(tmp_path) as running:
            running.append([row("a", version), row("b", version)])
    assert parts(tmp_path) == [f"part-00000002-{RUN}.parquet"]


def test_untouched_parts_stay_as_they_are(tmp_path: Path) -> None:
    for key in "abc":
        with store(tmp_path) as running:
            running.append([row(key), row(key + "2")])
    before = {name: (tmp_path / name).stat().st_ino for name in parts(tmp_path)}
    with store(tmp_path) as running:
        running.append([row("b", "v2")])
    after = {name: (tmp_path / name).stat().st_ino for name in parts(tmp_path)}
    assert [name for name in before if after.get(name) == before[name]] == [
        f"part-00000001-{RUN}.parquet",
        f"part-00000003-{RUN}.parquet",
    ]


def test_names_sort_by_age_when_the_clock_is_set_back(tmp_path: Path) -> None:
    for run_id, version in [("20261122T000000Z-x", "v1"), ("20261121T000000Z-x", "v2")]:
        with store(tmp_path, run_id=run_id) as running:
            running.append([row("a", version)])
    assert content(tmp_path) == [("a", "caption of a v2")]


def test_many_small_parts_become_few(tmp_path: Path) -> None:
    for n in range(8):
        assert len(parts(tmp_path)) == n
        with store(tmp_path, rows_per_part=10) as night:
            night.append([row(f"k{n}"), row(f"k{n}b")])
    assert [pq.read_metadata(tmp_path / name).num_rows for name in parts(tmp_path)] == [10, 6]
    assert sorted(key for key, _ in content(tmp_path)) == sorted(f"k{n}{b}" for n in range(8) for b in ("", "b"))


def test_compact_merges_however_few(tmp_path: Path) -> None:
    for n in range(3):
        with store(tmp_path) as night:
            night.append([row(f"k{n}")])
    assert compact(str(tmp_path), StoreOptions(), SetClock(), RUN) == (3, 1)
    assert [key for key, _ in content(tmp_path)] == ["k0", "k1", "k2"]
    assert compact(str(tmp_path), StoreOptions(), SetClock(), RUN) == (1, 1)


def test_compact_needs_an_output(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not an output of Nightcap"):
        compact(str(tmp_path / "nothing"), StoreOptions(), SetClock(), RUN)
    assert not (tmp_path / "nothing").exists()


def test_a_single_file_is_merged_too(tmp_path: Path) -> None:
    out = tmp_path / "captions.parquet"
    with opened(out) as running:
        assert not out.exists()
        running.append([row("b"), row("a")])
    with opened(out) as running:
        running.append([row("c"), row("a", "v2")])
    table = pq.read_table(out)
    assert sorted(zip(table["key"].to_pylist(), table["source_version"].to_pylist(), strict=True)) == [
        ("a", "v2"),
        ("b", "v1"),
        ("c", "v1"),
    ]
    assert table.schema.equals(SCHEMA)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["captions", "captions.parquet"]


def test_a_single_file_is_written_again_only_when_rows_changed(tmp_path: Path) -> None:
    out = tmp_path / "captions.parquet"
    with opened(out):
        pass
    assert pq.read_table(out).num_rows == 0
    with opened(out) as running:
        running.append([row("a")])
    inode = out.stat().st_ino
    with opened(out):
        pass
    assert out.stat().st_ino == inode
    out.unlink()
    with opened(out):
        pass
    assert pq.read_table(out).num_rows == 1


def test_a_single_file_takes_parts_whose_answers_have_different_fields(tmp_path: Path) -> None:
    out, folder = tmp_path / "captions.parquet", tmp_path / "captions"
    with opened(out) as running:
        running.append([row("a")])
    table = pq.read_table(folder / parts(folder)[0])
    answers = pa.array([{"dogs": 2}], pa.struct([("dogs", pa.int64())]))
    other = table.set_column(table.schema.get_field_index("fields"), "fields", answers)
    pq.write_table(other.set_column(0, "key", pa.array(["b"])), folder / "part-00000009-other.parquet")
    for _ in range(2):
        with opened(out) as running:
            running.merge_small_parts()
        rows = {item["key"]: item["fields"] for item in pq.read_table(out).to_pylist()}
        assert rows["b"]["dogs"] == 2
        assert len(parts(folder)) == 1, "one type of fields lets them be merged"


def test_a_single_file_takes_parts_from_before_a_column_came(tmp_path: Path) -> None:
    out, folder = tmp_path / "captions.parquet", tmp_path / "captions"
    with opened(out) as running:
        running.append([row("a")])
    [name] = parts(folder)
    old = pq.read_table(folder / name).drop_columns(["members", "duration"])
    pq.write_table(old, folder / name)
    with opened(out) as running:
        assert running.finished_status(image("a")) == "captioned"
        running.append([row("b")])
    table = pq.read_table(out)
    assert table.schema.equals(SCHEMA)
    assert sorted(table["key"].to_pylist()) == ["a", "b"]
    assert compact(str(out), StoreOptions(), SetClock(), RUN) == (2, 1)
    assert pq.read_table(folder / parts(folder)[0]).schema.equals(SCHEMA)


def test_summaries_are_kept(tmp_path: Path) -> None:
    with opened(tmp_path) as running:
        running.write_job({"model": "openai:gpt-4o"})
        running.write_run({"cost_usd": Decimal("1.50"), "note": "\ud83d"})
    assert json.loads((tmp_path / "_nightcap" / "job.json").read_text()) == {"model": "openai:gpt-4o"}
    assert json.loads((tmp_path / "_nightcap" / "runs" / f"{RUN}.json").read_text())["cost_usd"] == "1.50"


def test_an_output_at_rest_is_small(tmp_path: Path) -> None:
    with store(tmp_path) as running:
        running.append([row(f"{n}", caption="x" * 1000) for n in range(1000)])
    assert {path.name for path in (tmp_path / "_nightcap").iterdir()} == {"journal.sqlite", "lock", "runs", "writing"}
    assert (tmp_path / "_nightcap" / "journal.sqlite").stat().st_size < 50_000


def test_parts_without_our_folder_are_an_output(tmp_path: Path) -> None:
    """What a container without a disk of its own finds in a bucket."""
    with store(tmp_path) as first:
        first.append([row("a")])
    shutil.rmtree(tmp_path / "_nightcap")
    with opened(tmp_path) as second:
        assert second.finished_status(image("a"))


@pytest.mark.parametrize(
    ("out", "sentence"),
    [
        ("photos", "holds other files; choose a new or an empty folder"),
        ("photos.parquet", "holds other files"),
        ("mine.parquet", "exists and was not written by Nightcap"),
        ("note.txt", "is a file"),
        ("note.txt/captions", "cannot be used .Not a directory"),
        ("folder.parquet", "is a folder"),
        ("ftp://host/captions", "is not a place in an object store"),
        ("foreign", "was not written by Nightcap"),
        ("newer", "written by a newer Nightcap"),
    ],
)
def test_what_is_not_ours_is_refused_untouched(tmp_path: Path, out: str, sentence: str) -> None:
    for folder in ("photos", "folder.parquet", "foreign", "newer"):
        (tmp_path / folder).mkdir()
    (tmp_path / "photos" / "cat.jpg").touch()
    (tmp_path / "mine.parquet").write_text("mine")
    (tmp_path / "note.txt").touch()
    pq.write_table(pa.table({"key": ["a"]}), tmp_path / "foreign" / "part-0.parquet")
    newer = pa.table({"key": ["a"]}).replace_schema_metadata({"nightcap_schema_version": "2"})
    pq.write_table(newer, tmp_path / "newer" / "part-0.parquet")
    with pytest.raises(UserError, match=sentence):
        opened(out if "://" in out else tmp_path / out)
    assert (tmp_path / "mine.parquet").read_text() == "mine"


def test_hidden_files_do_not_make_a_folder_foreign(tmp_path: Path) -> None:
    (tmp_path / ".gitkeep").touch()
    opened(tmp_path).close()


def test_a_second_run_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    with store(tmp_path) as first:
        first.append([row("a")])
        with pytest.raises(UserError, match="is being written by another run"):
            opened(tmp_path)
        first.append([row("b")])
    assert [key for key, _ in content(tmp_path)] == ["a", "b"]
    opened(tmp_path).close()


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    with store(tmp_path) as running:
        running.append([row("a")])
    path = tmp_path / parts(tmp_path)[0]
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(RunError, match=f"{path} is damaged; restore it, or remove it"):
        opened(tmp_path)
    path.unlink()
    opened(tmp_path).close()


def test_a_damaged_journal_is_named(tmp_path: Path) -> None:
    journal = tmp_path / "_nightcap" / "journal.sqlite"
    opened(tmp_path).close()
    journal.write_bytes(b"not a database, but long enough to have a header" * 10)
    with pytest.raises(RunError, match=f"{journal} is damaged; move it away"):
        opened(tmp_path)


@pytest.mark.parametrize("kind", ["no Parquet", "another's"])
def test_a_file_of_the_user_beside_an_output_is_not_written_over(tmp_path: Path, kind: str) -> None:
    with store(tmp_path / "captions") as first:
        first.append([row("a")])
    mine = tmp_path / "captions.parquet"
    if kind == "another's":
        pq.write_table(pa.table({"key": ["a"]}), mine)
    else:
        mine.write_text("mine")
    before = mine.read_bytes()
    with pytest.raises(UserError, match=r"captions\.parquet was not written by Nightcap"):
        opened(mine)
    assert mine.read_bytes() == before
