"""Object stores: Amazon S3, Google Cloud Storage, Azure Blob Storage, and what speaks like them. Knows no image.

What lies in one is read by `sources` and written by `store`, both of which use obstore's functions on `Objects.store`;
how a URL and the environment become an opened store, and what its errors mean, is said here once.
"""

from pipeline.objects.addresses import BlobAddresses
from pipeline.objects.location import Location, find_location, is_signed, without_secrets
from pipeline.objects.opening import HASTY, PATIENT, Objects, open_objects

__all__ = [
    "HASTY",
    "PATIENT",
    "BlobAddresses",
    "Location",
    "Objects",
    "find_location",
    "is_signed",
    "open_objects",
    "without_secrets",
]
