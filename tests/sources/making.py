"""Files for the tests of this room."""

from pathlib import Path


def make(root: Path, *names: str) -> None:
    """Files below `root` whose content is their own name."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
