"""What an object store's error means, as one sentence; pure. obstore says it in words, which are read here once."""

import re

from pipeline.errors import NightcapError, RunError, Unavailable, UserError
from pipeline.objects.location import Location

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
_TOKEN_SERVICE = re.compile(r"https?://(169\.254\.\d+\.\d+|metadata)|token request")
_MISSING = ("NoSuchBucket", "ContainerNotFound", "ContainerBeingDeleted")
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
    where, credentials = location.base, _CREDENTIALS[location.kind]
    if _TOKEN_SERVICE.search(text):  # obstore's last resort, when the environment holds nothing
        return UserError(f"No credentials for {where} were found in the environment: set {credentials}.")
    status, code = _found(_STATUS, text), _found(_CODE, text)
    said = " ".join(filter(None, (status, code)))
    if code in _MISSING:
        kind = "container" if location.kind == "az" else "bucket"
        return UserError(f"There is no {kind} {where}; check its name and the account.")
    if code in ("ExpiredToken", "TokenRefreshRequired", "RequestExpired"):
        return UserError(f"The credentials for {where} have expired ({said}); renew {credentials}.")
    if status in ("401", "403"):
        if location.sas:
            return UserError(
                f"{where} refuses the shared access signature ({said}): wrong, expired, or without the right."
            )
        return UserError(f"{where} refuses access ({said}): check {credentials}, and that they have the right.")
    if status in ("301", "307", "308") or "redirect" in text[:200]:
        return UserError(f"{where} is in another region; set AWS_REGION to the bucket's.")
    if status in ("408", "429") or (status and status >= "500"):
        return Unavailable(f"{where} does not answer ({said}); it is overloaded or down, try again later.")
    return _without_status(text, where, credentials, said)


def _without_status(text: str, where: str, credentials: str, said: str) -> NightcapError:
    if "dns error" in text:
        return Unavailable(f"{where} cannot be reached: its host has no address; check the name and the network.")
    if "HTTP error" in text or "error sending request" in text or "timed out" in text:
        return Unavailable(f"{where} cannot be reached; check endpoint and network, and try again later.")
    if "service account file" in text or "credentials file" in text[:200]:
        return UserError(f"The credentials for {where} cannot be read: check {credentials}.")
    if "Invalid Access Key" in text or "InvalidAccessKey" in text:
        return UserError(f"The account key for {where} is not one: it is not base64; check {credentials}.")
    if "parsing Path" in text[:100]:
        name = _found(re.compile(r'parsing Path "([^"\n]*)"'), text)
        return UserError(
            f"{where} holds an object named {name!r}, which no path can be; rename it, or give a prefix without it."
        )
    return RunError(f"{where} cannot be used: {said or text.partition(chr(10))[0][:200]}.")


def _found(pattern: re.Pattern[str], text: str) -> str | None:
    match = pattern.search(text)
    return match[1] if match else None
