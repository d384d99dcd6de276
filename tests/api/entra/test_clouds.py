import pytest

from pipeline.api.entra.clouds import CHINA, GOVERNMENT, PUBLIC, Cloud, cloud_of


@pytest.mark.parametrize(
    ("host", "authority", "cloud"),
    [
        ("res.openai.azure.com", "", PUBLIC),
        ("res.cognitiveservices.azure.com", "", PUBLIC),
        ("res.openai.azure.us", "", GOVERNMENT),
        ("res.openai.azure.cn", "https://login.microsoftonline.us", CHINA),
        ("gateway.example", "", PUBLIC),
        ("gateway.example", "https://login.microsoftonline.us/", GOVERNMENT),
        ("gateway.example", "login.chinacloudapi.cn", CHINA),
        ("azure.us.example", "", PUBLIC),
    ],
)
def test_an_endpoints_cloud(host: str, authority: str, cloud: Cloud) -> None:
    assert cloud_of(host, {"AZURE_AUTHORITY_HOST": authority}) == cloud


def test_authorities_are_those_of_azure_identity() -> None:
    from azure.identity import AzureAuthorityHosts

    known = (
        AzureAuthorityHosts.AZURE_PUBLIC_CLOUD,
        AzureAuthorityHosts.AZURE_GOVERNMENT,
        AzureAuthorityHosts.AZURE_CHINA,
    )
    assert tuple(cloud.authority for cloud in (PUBLIC, GOVERNMENT, CHINA)) == known
