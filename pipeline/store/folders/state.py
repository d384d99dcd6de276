"""Where this machine keeps what an output in an object store cannot hold: the journal. Knows paths."""

import hashlib
import os
import re
from pathlib import Path

import platformdirs

VARIABLE = "NIGHTCAP_STATE_DIR"
"""For containers: a folder that outlives them, if there is one."""


def state_folder(*place: str) -> Path:
    """The folder for the output whose account, bucket and path these are."""
    given = os.environ.get(VARIABLE)
    root = Path(given) if given else platformdirs.user_state_path("nightcap", appauthor=False)
    digest = hashlib.sha256("\n".join(place).encode()).hexdigest()[:12]
    readable = re.sub(r"[^A-Za-z0-9]+", "-", "-".join(place)).strip("-")[-48:]
    return root / "outputs" / f"{readable}-{digest}"
