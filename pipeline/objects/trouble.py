"""What an object store's error means, as one sentence; pure. obstore says it in words, which are read here once."""

import re

from pipeline.errors import ImageError, NightcapError, RunError, Unavailable, Unreachable, UserError
from pipeline.objects.location import Location, without_secrets

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
_TOKEN_SERVICE = re.compile(r"https?://(169\.254\.\d+\.\d+|metadata)|token request")
_MISSING = ("NoSuchBucket", "ContainerNotFound", "ContainerBeingDeleted")
_EXPIRED = ("ExpiredToken", "TokenRefreshRequired", "RequestExpired")
_TROUBLE_OF_ONE = ("InvalidObjectState", "BlobArchived", "BlobBeingRehydrated")
_NO_PATH = re.compile(r'[Pp]ath "([^"]*)"')
_CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME with AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN or an Entra ID",
    "memory": "nothing",
}


def explained(error: Exception, location: Location) -> NightcapError:
    """See `Objects.explained`."""
    if isinstance(error, NightcapError):
        return error
    text = str(error)
    if _TOKEN_SERVICE.search(text):  # obstore's last resort, when the environment holds nothing
        hint = " (profiles in ~/.aws are not read)" if location.kind == "s3" else ""
        names = f"{_CREDENTIALS[location.kind]}{hint}"
        return UserError(f"No credentials for {location.base[:-1]} were found in the environment: set {names}.")
    if (code := _found(_CODE, text)) in _TROUBLE_OF_ONE:
        return ImageError("unreadable", f"The object is archived ({code}); restore it, then `nightcap retry`.")
    if code in _MISSING:
        kind = "container" if location.kind == "az" else "bucket"
        return UserError(f"There is no {kind} {location.base[:-1]}; check its name and the account.")
    if isinstance(error, FileNotFoundError):
        return ImageError("unreadable", "The object is gone since it was listed.")
    status = _found(_STATUS, text)
    return _without_answer(text, location) if status is None else _answered(int(status), code, location)


def _answered(status: int, code: str | None, location: Location) -> NightcapError:
    where, credentials = location.base[:-1], _CREDENTIALS[location.kind]
    said = f"{status} {code}" if code else str(status)
    if code in _EXPIRED:
        return UserError(f"The credentials for {where} have expired ({said}); renew {credentials}.")
    if status in (401, 403) and location.sas:
        return UserError(f"{where} refuses its shared access signature ({said}): expired, wrong or without the right.")
    if status in (401, 403):
        return UserError(f"{where} refuses access ({said}): check {credentials}, and that they have the right.")
    if status in (301, 307, 308):
        return UserError(f"{where} is in another region ({said}); set AWS_REGION to the bucket's.")
    if status in (408, 429) or status >= 500:
        return Unavailable(f"{where} does not answer ({said}); it is overloaded or down, try again later.")
    return RunError(f"{where} does not take our request ({said}).")


def _without_answer(text: str, location: Location) -> NightcapError:
    where, credentials = location.base[:-1], _CREDENTIALS[location.kind]
    head = text.partition("\n")[0]
    if "dns error" in text:
        return Unreachable(f"{where} cannot be reached: its host has no address; check account, endpoint and network.")
    if "HTTP error" in head or "error sending request" in head or "timed out" in head:
        return Unreachable(f"{where} cannot be reached; check endpoint and network, and try again later.")
    if "without LOCATION" in head:  # S3's redirect to a bucket's own region
        return UserError(f"{where} is in another region; set AWS_REGION to the bucket's.")
    if "service account file" in head or "credentials file" in head:
        return UserError(f"The credentials for {where} cannot be read: check {credentials}.")
    if "Invalid Access Key" in head:
        return UserError(f"The account key for {where} is not one: it is not base64; check {credentials}.")
    if name := _found(_NO_PATH, head):
        return UserError(
            f"{where} holds an object named {name!r}, which no path can be; rename it, or give a prefix without it."
        )
    return RunError(f"{where} cannot be used: {without_secrets(head)[:200]}.")


def _found(pattern: re.Pattern[str], text: str) -> str | None:
    match = pattern.search(text)
    return match[1] if match else None
