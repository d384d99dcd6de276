"""What the endpoints of a job take in one request. Pure; reads no credential."""

from collections.abc import Mapping, Sequence

from pipeline.api.endpoint import azure_version, catalogue_name, split_name
from pipeline.api.environment import read_variable
from pipeline.api.pool.members import MemberOptions
from pipeline.api.quirks import server_at
from pipeline.models import RequestLimits, find_limits, find_model


def request_limits(members: Sequence[MemberOptions], environ: Mapping[str, str]) -> RequestLimits:
    """The strictest limits of all of them, as any may answer."""
    first, *others = [_limits_of(member, environ) for member in members]
    for other in others:
        first = first.and_those_of(other)
    return first


def _limits_of(member: MemberOptions, environ: Mapping[str, str]) -> RequestLimits:
    options = member.model
    model = find_model(catalogue_name(options))
    provider, _ = split_name(options.name)
    if provider == "azure":
        return find_limits(model, azure_version(options, environ), provider)
    address = options.base_url or read_variable("OPENAI_BASE_URL", environ)
    server = server_at(address)
    if server and server.limits_of:
        provider = server.limits_of
    return find_limits(model, None, provider)
