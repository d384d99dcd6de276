"""Where an output may lie. Knows how OUT is written on a command line."""

from pathlib import Path

from pipeline.errors import UserError
from pipeline.store.folders.folder import Folder
from pipeline.store.folders.local import LocalFolder


def open_folder(out: str) -> Folder:
    """The place that `out` names; nothing is read or created yet. `NAME.parquet` is folder NAME and that single file.

    Raises UserError when it names none.
    """
    if "://" in out:
        raise UserError(f"Output {out} is not a local folder; object stores are not supported as output yet.")
    path = Path(out)
    if path.suffix == ".parquet":
        return LocalFolder(path.with_suffix(""), single_file=path)
    return LocalFolder(path)
