"""The house rules that a machine can check: imports go down, libraries stay in their rooms, files stay small."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "pipeline"
FLOORS = [
    {"texts"},
    {"items", "errors", "clock", "reasons"},
    {"objects"},
    {"sources", "images", "videos", "models", "store", "presets"},
    {"api", "builtin", "emulator"},
    {"engine"},
    {"job"},
    {"estimation", "report", "progress", "doctor", "preview", "video_index"},
    {"rehearsal"},
    {"__init__"},
    {"cli"},
    {"__main__"},
]
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
# Where a library may be imported; the others get what they need through that room.
ROOMS_OF_LIBRARY = {
    "PIL": {"images"},
    "pillow_heif": {"images"},
    "av": {"videos"},
    "cykooz": {"images"},
    "pyarrow": {"store", "sources"},  # sources: Parquet that lists or holds images
    "sqlite3": {"store"},
    "obstore": {"objects", "sources", "store"},
    "pyreqwest": {"api"},
    "httptools": {"api"},
    "aiohttp": {"emulator", "sources"},  # sources: images at web addresses
    "onnxruntime": {"builtin"},
    "msgspec": {"engine", "api"},
    "py3langid": {"engine"},
    "click": {"cli"},
    "tqdm": {"progress"},
    "opentelemetry": {"engine"},
    "signal": {"engine"},
    "threading": {"sources", "engine", "builtin", "images", "emulator", "store", "models"},
}
FILES = sorted(ROOT.rglob("*.py"))
TESTS = sorted(Path(__file__).parent.rglob("*.py"))
# `estimate` asks the store what is left; the front door re-exports; the command line calls every room's one function.


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            if node.module == "pipeline":
                yield from (f"pipeline.{alias.name}" for alias in node.names)
            else:
                yield node.module


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_strictly_down(path: Path) -> None:
    own = room_of(path)
    for name in imports_of(path):
        package, _, rest = name.partition(".")
        if package != "pipeline" or not rest:
            continue
        other = rest.partition(".")[0]
        if other != own:
            assert FLOOR_OF[other] < FLOOR_OF[own], f"{own} (floor {FLOOR_OF[own]}) imports {other}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_library_stays_in_its_room(path: Path) -> None:
    for name in imports_of(path):
        rooms = ROOMS_OF_LIBRARY.get(name.partition(".")[0])
        assert rooms is None or room_of(path) in rooms, f"{name} belongs into {rooms}"


def test_tasks_are_created_in_the_engine_only() -> None:
    for path in FILES:
        if room_of(path) not in ("engine", "emulator"):
            names = {n.attr for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Attribute)}
            assert not names & {"TaskGroup", "create_task", "gather", "Queue", "add_signal_handler"}, path


def test_files_and_folders_stay_small() -> None:
    for path in (*FILES, *TESTS):
        assert len(path.read_text("utf-8").splitlines()) <= 400, f"{path} is two things"
    for folder in {path.parent for path in FILES}:
        assert len(list(folder.glob("*.py"))) <= 13, f"{folder} is two rooms"
