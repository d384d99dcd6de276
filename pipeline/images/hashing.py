"""The hash by which two files are known to be the same picture."""

import hashlib


def hash_bytes(data: bytes) -> str:
    """`sha256:` and 64 hex digits, the same as `sha256sum` prints.

    Measured with OpenSSL 3 and SHA instructions: 0.08 ms for 90 KB and 2.7 ms for 3 MB (blake2b 0.22 and 8.1, blake3
    0.03 and 0.7), and all release the GIL. Beside 0.6 ms for the whole way of a small file and 40 to decode a large
    one, a further dependency would gain less than a tenth.
    """
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
