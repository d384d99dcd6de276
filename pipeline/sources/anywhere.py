"""Reading images wherever their URIs say that they are: what a list or an archive names."""

import re
from collections.abc import Iterator, Sequence

from pipeline.errors import ImageError
from pipeline.items import SourceImage
from pipeline.objects import Location
from pipeline.sources.archives.members import Packed, parse_fragment
from pipeline.sources.archives.reading import check_size
from pipeline.sources.archives.zip import LOCAL_HEADER_BYTES, data_offset, packed_bytes_for, unpacked
from pipeline.sources.files import SCHEME
from pipeline.sources.objects import ObjectReader
from pipeline.sources.options import SourceOptions
from pipeline.sources.reading import Reader
from pipeline.sources.source import Source
from pipeline.sources.web.reader import WebReader

_MEMBER = re.compile(r"#(?=(?:offset|header)=\d)")
_NAME_AND_EXTRA_BYTES = 1024
"""What is asked for with a zip member's bytes, so that its local header need not be asked for first."""


class _Here(Reader):
    """The machine that runs this, as a source."""

    def list(self) -> Iterator[SourceImage]:
        """Nothing: those that list have their own."""
        return iter(())


class Anywhere:
    """A source of others: this machine, object stores, web addresses, and archives on either of those."""

    def __init__(self, options: SourceOptions, location: Location | None = None, remote: bool = True) -> None:
        """`location`: one whose signature URIs do not have. `remote`: False when all is on this machine."""
        self._local = _Here(options)
        self._location = location
        self._objects = ObjectReader(options, location)
        self._web = WebReader(options)
        self._members = RemoteMembers(self._objects, self._web, options.max_bytes, location)
        self._remote = remote

    @property
    def sources(self) -> Sequence[Source]:
        return [self._local, self._objects, self._web, self._members] if self._remote else [self._local]

    def source_of(self, image: SourceImage) -> Source:
        uri = image.uri
        if uri.startswith(SCHEME):
            return self._local
        if _MEMBER.search(uri):
            return self._members
        return self._objects if _is_object(uri, self._location) else self._web

    def read(self, image: SourceImage) -> bytes:
        return self.source_of(image).read(image)

    def read_head(self, image: SourceImage, count: int) -> bytes:
        return self.source_of(image).read_head(image, count)


class RemoteMembers:
    """A remote source of members of archives, each by one range request."""

    def __init__(self, objects: ObjectReader, web: WebReader, max_bytes: int, location: Location | None) -> None:
        self._objects = objects
        self._web = web
        self._max_bytes = max_bytes
        self._location = location

    def list(self) -> Iterator[SourceImage]:
        """Nothing: archives list their members."""
        return iter(())

    async def fetch(self, image: SourceImage) -> bytes:
        return await self._member(image, None)

    async def fetch_head(self, image: SourceImage, count: int) -> bytes:
        return await self._member(image, count)

    def read(self, image: SourceImage) -> bytes:
        raise ImageError("unreadable", "A member of an archive far away is fetched, not read.")

    def read_head(self, image: SourceImage, count: int) -> bytes:
        return self.read(image)[:count]

    async def _member(self, image: SourceImage, count: int | None) -> bytes:
        uri, _, fragment = image.uri.rpartition("#")
        place = parse_fragment(fragment)
        if place is None:
            raise ImageError("unreadable", f"Nothing is known of #{fragment}.")
        check_size(place, count, self._max_bytes)
        if isinstance(place, Packed):
            return await self._packed(image, uri, place, count)
        wanted = place.size if count is None else min(count, place.size)
        data = await self._range(image, uri, place.offset, wanted)
        if len(data) != wanted:
            raise ImageError("unreadable", "The archive ends before this member does.")
        return data

    async def _packed(self, image: SourceImage, uri: str, place: Packed, count: int | None) -> bytes:
        wanted = packed_bytes_for(place, count)
        around = await self._range(image, uri, place.header, LOCAL_HEADER_BYTES + _NAME_AND_EXTRA_BYTES + wanted)
        start = data_offset(place, around) - place.header
        data = around[start : start + wanted]
        if len(data) < wanted:
            data = await self._range(image, uri, place.header + start, wanted)
        return unpacked(place, data, count)

    async def _range(self, image: SourceImage, uri: str, offset: int, count: int) -> bytes:
        if count == 0:
            return b""
        if _is_object(uri, self._location):
            return await self._objects.fetch_range(uri, offset, count)
        return await self._web.fetch_range(image.address or uri, offset, count)


def _is_object(uri: str, location: Location | None) -> bool:
    return not uri.startswith("http") or (location is not None and uri.startswith(location.base))
