"""What every run leaves as it was, and the images that most of them caption."""

import asyncio
import gc
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from pipeline.engine.stop import SIGNALS
from tests.helpers.folders import write_jpegs

OUR_THREADS = ("image_", "disk_", "list_")
OUR_TASKS = ("list", "prepare-", "ask-", "record")


@pytest.fixture(autouse=True)
def _process_as_before() -> Iterator[None]:
    """No thread of ours, no open connection (their warnings are errors), and the signals as they were."""
    before = [signal.getsignal(number) for number in SIGNALS]
    yield
    assert [signal.getsignal(number) for number in SIGNALS] == before
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith(OUR_THREADS)]
    gc.collect()
    assert gc.get_freeze_count() == 0


@pytest.fixture(autouse=True)
async def _no_task_left() -> AsyncIterator[None]:
    yield
    names = [task.get_name() for task in asyncio.all_tasks()]
    assert not [name for name in names if name.startswith(OUR_TASKS)]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Forty small JPEGs."""
    write_jpegs(tmp_path / "photos", 40)
    return tmp_path / "photos"
