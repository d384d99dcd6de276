"""Images in object stores: listed in pages, read by their URIs."""

from pipeline.sources.objects.bucket import Bucket
from pipeline.sources.objects.reading import ObjectReader

__all__ = ["Bucket", "ObjectReader"]
