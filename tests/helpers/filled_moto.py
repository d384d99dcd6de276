"""moto's server with many small pictures in it from the start: `python -m tests.helpers.filled_moto BUCKET COUNT`.

Put into its memory: by requests a hundred thousand would take an hour.
"""

import sys

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import main

from tests.helpers.pictures import encoded, photo

if __name__ == "__main__":
    bucket, count = sys.argv[1], int(sys.argv[2])
    backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    backend.create_bucket(bucket, "us-east-1")
    picture = encoded(photo(64, 48))
    for number in range(count):
        name = f"{number // 1000:03}/{number:06}.jpg"
        backend.put_object(bucket, name, picture + name.encode())
    main(["-H", "127.0.0.1", "-p", "0"])
