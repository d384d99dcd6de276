"""Which Azure an endpoint belongs to: where its tokens come from and what they are for. Pure.

Scopes: Azure OpenAI's guide to managed identities (public cloud), Azure Government's guide to Azure OpenAI, Cognitive
Services' audiences in the SDKs (China). Authorities: `azure.identity.AzureAuthorityHosts`.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cloud:
    """One of Azure's separate clouds."""

    scope: str
    """Of the tokens that its Azure OpenAI endpoints accept."""
    authority: str
    """The host that gives them."""


PUBLIC = Cloud("https://cognitiveservices.azure.com/.default", "login.microsoftonline.com")
GOVERNMENT = Cloud("https://cognitiveservices.azure.us/.default", "login.microsoftonline.us")
CHINA = Cloud("https://cognitiveservices.azure.cn/.default", "login.chinacloudapi.cn")

_BY_DOMAIN = {".azure.us": GOVERNMENT, ".azure.cn": CHINA}


def cloud_of(host: str, environ: Mapping[str, str]) -> Cloud:
    """By the endpoint's domain; behind any other name by AZURE_AUTHORITY_HOST, which azure-identity reads too."""
    for domain, cloud in _BY_DOMAIN.items():
        if host.endswith(domain):
            return cloud
    named = environ.get("AZURE_AUTHORITY_HOST", "").removeprefix("https://").rstrip("/")
    return next((cloud for cloud in (GOVERNMENT, CHINA) if cloud.authority == named), PUBLIC)
