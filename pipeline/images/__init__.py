"""Bytes to bytes: reads headers, decodes, turns, shrinks, encodes. Knows no model; the only room with Pillow.

Which is imported for the first image that is decoded (60 ms): a collection of small JPEGs is sent as it is.
"""

from pipeline.images.draw import draw_polygons
from pipeline.images.fingerprint import fingerprint
from pipeline.images.hashing import hash_bytes, hash_file
from pipeline.images.headers import NeedMoreBytes
from pipeline.images.options import NO_BOUNDS, Bound, ImageOptions, SendBounds
from pipeline.images.prepare import prepare
from pipeline.images.probe import HEAD_BYTES, probe, probe_from
from pipeline.images.rgb import decode_rgb, encode_rgb

__all__ = [
    "HEAD_BYTES",
    "NO_BOUNDS",
    "Bound",
    "ImageOptions",
    "NeedMoreBytes",
    "SendBounds",
    "decode_rgb",
    "draw_polygons",
    "encode_rgb",
    "fingerprint",
    "hash_bytes",
    "hash_file",
    "prepare",
    "probe",
    "probe_from",
]
