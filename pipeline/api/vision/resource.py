"""The Azure AI Vision resource (Computer Vision), by the names that Microsoft's guides give its variables. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.api.entra.clouds import Cloud, cloud_of
from pipeline.api.environment import checked_address, read_key
from pipeline.errors import UserError

ENDPOINT_VARIABLE = "VISION_ENDPOINT"
KEY_VARIABLE = "VISION_KEY"
"""Image Analysis 4.0 how-to: "assumes that you defined the environment variables VISION_KEY and VISION_ENDPOINT"."""
KEY_HEADER = "Ocp-Apim-Subscription-Key"
NEEDED = f"set {ENDPOINT_VARIABLE} (https://RESOURCE.cognitiveservices.azure.com) and {KEY_VARIABLE}"


@dataclass(frozen=True, slots=True)
class VisionResource:
    """Where it is and what it is shown."""

    endpoint: str
    """`https://RESOURCE.cognitiveservices.azure.com`, without a path of ours."""
    key: str | None = field(repr=False)
    """None: a token of Entra ID."""
    cloud: Cloud
    """Whose tokens it takes."""

    @property
    def headers(self) -> dict[str, str]:
        """None of them holds a token, which changes."""
        return {KEY_HEADER: self.key} if self.key else {}


def find_vision(environ: Mapping[str, str]) -> VisionResource | None:
    """The resource that the environment names; None: none. UserError for an address or a key that cannot be."""
    address, key = environ.get(ENDPOINT_VARIABLE, "").strip(), read_key(KEY_VARIABLE, environ)
    if not address:
        if key:
            raise UserError(f"{KEY_VARIABLE} is set without {ENDPOINT_VARIABLE}; {NEEDED}, or none of them.")
        return None
    like = "https://RESOURCE.cognitiveservices.azure.com"
    endpoint = checked_address(address, ENDPOINT_VARIABLE, like).removesuffix("/computervision")
    host = endpoint.partition("://")[2].partition("/")[0].partition(":")[0]
    return VisionResource(endpoint, key, cloud_of(host, environ))
