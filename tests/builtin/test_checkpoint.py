"""The reader of old PyTorch checkpoints, on a file written here as PyTorch wrote them."""

import os
import pickle
import sys
from collections import OrderedDict
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from pipeline.builtin.convert.checkpoint import MAGIC, read_checkpoint


class Storage:
    """Pickled by its persistent id."""


class Tensor:
    def __init__(self, rebuild: Any, *arguments: Any) -> None:
        self.rebuild, self.arguments = rebuild, arguments

    def __reduce__(self) -> Any:
        return self.rebuild, self.arguments


class Writer(pickle.Pickler):
    def persistent_id(self, obj: Any) -> Any:
        return ("storage", sys.modules["torch"].FloatStorage, "7", "cpu", 6, None) if isinstance(obj, Storage) else None


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The two names of PyTorch that a checkpoint mentions."""
    torch, utilities = ModuleType("torch"), ModuleType("torch._utils")
    torch.FloatStorage = type("FloatStorage", (), {"__module__": "torch"})  # type: ignore[attr-defined]

    def _rebuild_tensor_v2(*_: Any) -> None: ...

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utilities._rebuild_tensor_v2 = _rebuild_tensor_v2  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utilities)
    return utilities


def test_a_transposed_view_is_read_by_its_strides(torch: Any, tmp_path: Path) -> None:
    state = OrderedDict(weight=Tensor(torch._rebuild_tensor_v2, Storage(), 0, (3, 2), (1, 3), False, OrderedDict()))
    path = tmp_path / "old.pth"
    with path.open("wb") as file:
        for part in (MAGIC, 1001, {}, state, ["7"]):
            Writer(file, 2).dump(part)
        file.write((6).to_bytes(8, "little") + np.arange(6, dtype="<f4").tobytes())
    assert read_checkpoint(path)["weight"].tolist() == [[0, 3], [1, 4], [2, 5]]


def test_a_checkpoint_that_wants_to_run_something_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evil.pth"
    with path.open("wb") as file:
        pickle.dump(Tensor(os.getcwd), file)
    with pytest.raises(pickle.UnpicklingError, match="getcwd"):
        read_checkpoint(path)
