"""What image files say in their first bytes. Plain struct reading: knows file formats and `Probe`, not Pillow.

One module a format family, each with two functions:
`read(head) -> Probe` from the first bytes of a file, and `is_complete(data) -> bool`, a cheap look at the end of the
whole file. `is_complete` may say False of a readable file (then it is decoded to find out), never True of a cut one.
"""

from pipeline.errors import ImageError

__all__ = ["NeedMoreBytes", "require"]


class NeedMoreBytes(ImageError):
    """The header lies beyond the bytes given: read the first `count` bytes of the file and ask again.

    For one who has given the whole file it is what its base class says: the file was cut off in its header.
    """

    def __init__(self, count: int, given: int) -> None:
        super().__init__("truncated_file", "The file ends inside its header; fetch it again.")
        # At least twice as many, so that a file of nothing but metadata costs few reads instead of one a segment.
        self.count = max(count, 2 * given)


def require(head: bytes, end: int) -> None:
    """Raise NeedMoreBytes unless `head` reaches to `end`."""
    if len(head) < end:
        raise NeedMoreBytes(end, len(head))
