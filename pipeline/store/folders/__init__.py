"""Where an output may lie. Knows how OUT is written on a command line."""

from pathlib import Path

from pipeline.store.folders.folder import Folder
from pipeline.store.folders.local import LocalFolder


def open_folder(out: str) -> Folder:
    """The place that `out` names; nothing is read or created yet. `NAME.parquet` is folder NAME and that single file.

    Raises UserError for a URL that is no place in an object store, or whose credentials are missing.
    """
    if "://" in out:
        from pipeline.store.folders.remote import open_remote  # with obstore: 60 ms

        return open_remote(out)
    path = Path(out)
    if path.suffix == ".parquet":
        return LocalFolder(path.with_suffix(""), single_file=path)
    return LocalFolder(path)
