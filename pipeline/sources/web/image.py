"""One image at a web address."""

from collections.abc import Iterator

from pipeline.errors import UserError
from pipeline.items import SourceImage
from pipeline.sources.listing.locations import web_place
from pipeline.sources.options import SourceOptions
from pipeline.sources.web.reader import WebReader


class WebImage(WebReader):
    """Key: host and path."""

    def __init__(self, url: str, options: SourceOptions) -> None:
        super().__init__(options)
        place = web_place(url)
        if place is None:
            raise UserError("A source is an http(s) address without a host, or with a space in it; check it.")
        self._image = SourceImage(place.key, place.uri, "", address=place.address)

    def list(self) -> Iterator[SourceImage]:
        yield self._image
