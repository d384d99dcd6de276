"""Each text is obstore 0.12's own, from Azurite, moto's server and a closed port, shortened."""

import pytest

from pipeline.errors import ImageError, NightcapError, RunError, Unavailable, Unreachable, UserError
from pipeline.objects.location import Location
from pipeline.objects.trouble import explained

S3 = Location("s3", "pics", "", "s3://pics/")
SAS = Location("az", "pics", "", "https://acme.blob.core.windows.net/pics/", sas="sig=secret")
ANSWERED = "Generic S3 error: Error performing GET http://127.0.0.1:1/pics?list-type=2&sig=secret in 2ms"


def answered(status: str, code: str) -> Exception:
    return Exception(
        f"{ANSWERED} - Server returned non-2xx status code: {status} X: <Error><Code>{code}</Code></Error>"
    )


@pytest.mark.parametrize(
    ("error", "place", "kind", "said"),
    [
        (answered("404", "NoSuchBucket"), S3, UserError, "There is no bucket"),
        (answered("404", "ContainerNotFound"), SAS, UserError, "There is no container"),
        (answered("403", "SignatureDoesNotMatch"), S3, UserError, "AWS_SECRET_ACCESS_KEY"),
        (answered("403", "AuthorizationFailure"), SAS, UserError, "shared access signature"),
        (answered("400", "ExpiredToken"), S3, UserError, "have expired"),
        (answered("301", "PermanentRedirect"), S3, UserError, "AWS_REGION"),
        (answered("503", "SlowDown"), S3, Unavailable, "503 SlowDown"),
        (answered("429", "TooManyRequests"), S3, Unavailable, "429"),
        (answered("400", "InvalidArgument"), S3, RunError, "400 InvalidArgument"),
        (Exception(f"{ANSWERED} - HTTP error: error sending request"), S3, Unreachable, "cannot be reached"),
        (Exception(f"{ANSWERED} - HTTP error: x\n dns error"), S3, Unreachable, "no address"),
        (
            Exception("Generic S3 error: Error performing PUT http://169.254.169.254/latest/api/token in 14ms"),
            S3,
            UserError,
            "No credentials",
        ),
        (
            Exception('Encountered object with invalid path: Error parsing Path "../z.jpg": E'),
            S3,
            UserError,
            "../z.jpg",
        ),
        (
            Exception('Encountered object with invalid path: Path "a//y.jpg" contained empty x'),
            S3,
            UserError,
            "a//y.jpg",
        ),
    ],
)
def test_one_sentence(error: Exception, place: Location, kind: type[NightcapError], said: str) -> None:
    found = explained(error, place)
    assert type(found) is kind
    assert said in str(found)
    assert place.base[:-1] in str(found)
    assert "secret" not in str(found)
    assert "\n" not in str(found)


def test_our_own_errors_stay_as_they_are() -> None:
    error = UserError("x")
    assert explained(error, S3) is error


def test_trouble_of_one_object() -> None:
    gone = explained(FileNotFoundError("Object at location x.jpg not found: status code: 404"), S3)
    archived = explained(answered("403", "InvalidObjectState"), S3)
    for found in (gone, archived):
        assert isinstance(found, ImageError)
        assert found.reason == "unreadable"
    missing = FileNotFoundError(str(answered("404", "NoSuchBucket")))
    assert isinstance(explained(missing, S3), UserError)
