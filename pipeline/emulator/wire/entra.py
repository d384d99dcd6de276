"""Entra ID's tokens: JSON web tokens of which an endpoint reads audience and expiry; nobody signs them here. Pure."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode

AUDIENCES = ("https://cognitiveservices.azure.com", "https://cognitiveservices.azure.us",
             "https://cognitiveservices.azure.cn")  # fmt: skip


def issue(resource: str, now: int, seconds: float) -> tuple[str, int]:
    """A token for `resource`, and when it expires."""
    expires_on = round(now + seconds)
    claims = {"aud": resource, "iat": now, "exp": expires_on}
    parts = (json.dumps(part).encode() for part in ({"alg": "none", "typ": "JWT"}, claims))
    return ".".join(urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + ".unsigned", expires_on


def token_answer(resource: str, now: int, seconds: float) -> bytes:
    """What App Service's endpoint of managed identities answers (api-version 2019-08-01)."""
    token, expires_on = issue(resource, now, seconds)
    answer = {"access_token": token, "expires_on": str(expires_on), "resource": resource, "token_type": "Bearer"}
    return json.dumps(answer).encode()


def is_valid(token: str, now: float) -> bool:
    """Whether it is for Azure OpenAI and has not expired."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return claims["aud"].rstrip("/") in AUDIENCES and now < claims["exp"]
    except (ValueError, LookupError, AttributeError, TypeError):
        return False
