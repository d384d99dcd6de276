"""A process that prepares images: reads hops from a socket, answers with results until the socket closes.

In a process of its own, because a decoder is the part of a run that hostile files attack: it may hang, crash or fill
the memory, and is then killed and replaced; it has no credentials. And because Python threads that read, hash and
encode small files take the interpreter's lock from the event loop (measured: 1,500 images a second instead of 3,000).
"""

import gc
import logging
import mmap
import os
import pickle
import resource
import signal
import socket
import sys
import traceback
from contextlib import suppress
from typing import Any, BinaryIO

# What a Preparer is made of, loaded before it comes (30 ms): the run is still opening its output.
import pipeline.engine.preparing.carried
import pipeline.models  # noqa: F401
from pipeline.engine.preparing.preparer import Preparer
from pipeline.engine.preparing.wire import (
    HEADER,
    LANE_BYTES,
    FilledLane,
    Lane,
    Outcome,
    pack_results,
    to_run,
    unpack_images,
)
from pipeline.errors import RunError
from pipeline.texts import valid_unicode


def main() -> None:
    """Called as `python -m pipeline.engine.preparing.worker SOCKET_FD MEMORY_FD MAX_BYTES`."""
    socket_fd, memory_fd, max_bytes = map(int, sys.argv[1:])
    for number in (signal.SIGINT, signal.SIGTERM):  # the run is asked to stop, and ends us when it is done
        signal.signal(number, signal.SIG_IGN)
    _let_the_loop_go_on()
    resource.setrlimit(resource.RLIMIT_DATA, (max_bytes, max_bytes))
    log = _Log()
    logging.getLogger().addHandler(log)
    memory = memoryview(mmap.mmap(memory_fd, 0))
    os.close(memory_fd)
    connection = socket.socket(fileno=socket_fd)
    # An end of the stream, or of the connection, means that the run is over.
    with suppress(EOFError, ConnectionError), connection, connection.makefile("rb") as stream:
        _serve(stream, connection, memory, log)


def _let_the_loop_go_on() -> None:
    """Do not interrupt the event loop, which all requests wait for, each time it wakes us up with a hop.

    Our share of the cores stays the same. Measured on two: 9 to 14 % more requests a second.
    """
    if hasattr(os, "SCHED_BATCH"):
        with suppress(OSError):  # a container may forbid it
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _serve(stream: BinaryIO, connection: socket.socket, memory: memoryview, log: "_Log") -> None:
    preparer, _ = _receive(stream)
    assert isinstance(preparer, Preparer)
    gc.freeze()
    connection.sendall(b"".join(to_run(Outcome())))
    _silence_decoders()
    while True:
        (number, packed), blobs = _receive(stream)
        room = memory[number * LANE_BYTES : (number + 1) * LANE_BYTES]
        images, lane = unpack_images(packed, FilledLane(room, blobs)), Lane(room)
        try:
            results = pack_results(map(preparer.prepare, images), lane)
        except RunError as error:
            outcome, lane = Outcome([], valid_unicode(str(error)), log.take()), Lane(room)
        else:
            outcome = Outcome(results, None, log.take())
        for part in to_run(outcome, lane.beside):
            connection.sendall(part)


def _receive(stream: BinaryIO) -> tuple[Any, bytes]:
    header = stream.read(HEADER.size)
    if len(header) < HEADER.size:
        raise EOFError
    length, following = HEADER.unpack(header)
    return pickle.loads(stream.read(length)), stream.read(following)


class _Log(logging.Handler):
    """Keeps what is logged for the run, which knows where to show it."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: list[tuple[int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip()
        self._kept.append((record.levelno, valid_unicode(text)))

    def take(self) -> list[tuple[int, str]]:
        kept, self._kept = self._kept, []
        return kept


def _silence_decoders() -> None:
    """C libraries print their opinion of odd files to stderr, into the middle of the progress bar."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    os.close(null)


if __name__ == "__main__":
    main()
