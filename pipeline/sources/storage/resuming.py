"""A file far away, or a stretch of it: where the connection breaks, it is read on from there. Blocking."""

import time
from collections.abc import Callable, Iterator

from pipeline.errors import NightcapError, RunError, Unavailable, UserError

WAITS_SECONDS = (1, 3, 9, 27)
"""Before each further try, while no byte comes."""


def resumed(pieces_from: Callable[[int], Iterator[bytes]], uri: str) -> Iterator[bytes]:
    """The bytes that are wanted of `uri`. `pieces_from` gives those from the n-th on; Unavailable: they broke off.

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
        except UserError as error:
            if not at:
                raise
            raise _broken_off(uri, at, error) from None
        except Unavailable as error:
            if breaks == len(WAITS_SECONDS):
                raise _broken_off(uri, at, error) from None
            time.sleep(WAITS_SECONDS[breaks])
            breaks += 1


def _broken_off(uri: str, at: int, error: NightcapError) -> RunError:
    return RunError(f"{uri} broke off after {at} bytes and could not be read on: {str(error).rstrip('.')}.")
