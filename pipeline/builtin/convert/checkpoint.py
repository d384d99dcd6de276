"""Reads a PyTorch checkpoint of the format before 1.6 without PyTorch.

The file is five pickles in a row (magic number, protocol, machine, state dictionary, storage keys), then the raw
bytes of each storage: its element count as little-endian int64, then the elements. Tensors are views into a storage,
and these checkpoints hold views whose strides are NOT those of a contiguous array: ignoring them gives garbage.
"""

import pickle
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

MAGIC = 0x1950A86A20F9469CFC6C
DTYPES = {"FloatStorage": "<f4", "LongStorage": "<i8"}


@dataclass(frozen=True, slots=True)
class View:
    """A tensor before its storage has been read; offsets and strides count elements."""

    storage: str
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class StateUnpickler(pickle.Unpickler):
    """Knows the names that a plain state dictionary uses and refuses every other, so that no code of the file runs."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch._utils" and name == "_rebuild_tensor_v2":
            return _view
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        raise pickle.UnpicklingError(f"unexpected name in a checkpoint: {module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        _, dtype, key, _location, _count, *_ = pid
        return key, dtype


def _view(storage: tuple[str, str], offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object) -> View:
    key, dtype = storage
    return View(key, dtype, offset, shape, strides)


def read_checkpoint(path: Path) -> dict[str, NDArray[Any]]:
    """Parameter name to array, each contiguous in memory."""
    with path.open("rb") as file:
        if StateUnpickler(file).load() != MAGIC:
            raise ValueError(f"{path} is not a PyTorch checkpoint of the format before 1.6")
        StateUnpickler(file).load()
        StateUnpickler(file).load()
        views: dict[str, View] = StateUnpickler(file).load()
        keys: list[str] = StateUnpickler(file).load()
        dtypes = {view.storage: view.dtype for view in views.values()}
        storages = {key: _read_storage(file, dtypes[key]) for key in keys}
    return {name: _strided(view, storages[view.storage]) for name, view in views.items()}


def _read_storage(file: BinaryIO, dtype: str) -> NDArray[Any]:
    count = int.from_bytes(file.read(8), "little")
    return np.frombuffer(file.read(count * np.dtype(dtype).itemsize), dtype)


def _strided(view: View, storage: NDArray[Any]) -> NDArray[Any]:
    strides = tuple(stride * storage.itemsize for stride in view.strides)
    return np.ascontiguousarray(np.lib.stride_tricks.as_strided(storage[view.offset :], view.shape, strides))
