"""Raw replies beside the parts: `_nightcap/raw/RUN-NUMBER.jsonl.gz`, a file with each part that a run cuts.

Gzip, because everything that reads JSON lines reads it so (zcat, DuckDB, pandas). Readers of OUT skip the folder, as
they skip all names that begin with an underscore. These files are a log: what merges, replaces or prunes rows leaves
them as they are.
"""

import gzip
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from pipeline.store.folders.folder import RAW, Folder

# Measured on 20,000 replies of 45 words: of 1,296 bytes (OpenAI) or 1,854 (Azure) level 6 leaves 191 or 230 in 30 us,
# level 1 221 or 267 in 13, level 9 no less than 6. Zstandard (169 or 196 in 6) is more than zcat and pandas read.
_LEVEL = 6


def write_raw(folder: Folder, name: str, lines: Iterable[bytes]) -> None:
    folder.put(f"{RAW}/{name}.jsonl.gz", partial(_write, lines))


def _write(lines: Iterable[bytes], path: Path) -> None:
    with gzip.open(path, "wb", compresslevel=_LEVEL) as file:
        file.writelines(lines)
