"""A web server with videos, or what begins like one: the retrieval service looks no further."""

MP4 = b"\0\0\0\x18ftypisom" + bytes(100)
WEBM = b"\x1aE\xdf\xa3" + bytes(100)
VIDEOS = {"a.mp4": MP4, "b.webm": WEBM, "text.mp4": b"no video at all"}
