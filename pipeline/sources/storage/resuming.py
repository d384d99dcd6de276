"""A file far away, read from its start: where the connection breaks, it is read on from there. Blocking."""

import time
from collections.abc import Callable, Iterator

from pipeline.errors import RunError, Unavailable, UserError

WAITS_SECONDS = (1, 3, 9, 27)
"""Before each further try, while no byte comes."""


def resumed(pieces_from: Callable[[int], Iterator[bytes]], uri: str) -> Iterator[bytes]:
    """The bytes of `uri`. `pieces_from` gives those from a byte on, and raises Unavailable where they break off.

    Raises RunError, which says how far it came, when nothing more is to be had.
    """
    at = breaks = 0
    while True:
        try:
            for piece in pieces_from(at):
                at += len(piece)
                breaks = 0
                yield piece
            return
        except (Unavailable, UserError) as error:
            if isinstance(error, UserError) and not at:
                raise
            if isinstance(error, UserError) or breaks == len(WAITS_SECONDS):
                said = str(error).rstrip(".")
                raise RunError(f"{uri} broke off after {at} bytes and could not be read on: {said}.") from None
            time.sleep(WAITS_SECONDS[breaks])
            breaks += 1
