"""From the job's sections to the endpoints that share it. Pure; reads no credential and opens nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.api.endpoint import catalogue_name, split_name
from pipeline.api.options import LIMITS_OF_AN_ENDPOINT, Auth, EndpointOptions, LimitOptions, ModelOptions
from pipeline.errors import UserError
from pipeline.models import find_model


@dataclass(frozen=True, slots=True)
class MemberOptions:
    """One endpoint with everything that it is asked by."""

    name: str
    """Empty for an endpoint that is alone."""
    model: ModelOptions
    limits: LimitOptions
    key_env: str | None = None
    priority: int = 1
    auth: Auth | None = None


def members_of(
    model: ModelOptions, limits: LimitOptions, endpoints: Sequence[EndpointOptions]
) -> tuple[MemberOptions, ...]:
    """The endpoints of a job: the entries of `[[endpoint]]`, or the one that [model] and [limits] describe.

    Raises UserError unless all serve the same model: whoever answers, an image has the same tokens and the same price.
    """
    if not endpoints:
        return (MemberOptions("", model, limits),)
    members = tuple(
        MemberOptions(
            entry.name or f"endpoint {number}", _model(model, entry), _limits(limits, entry), entry.key_env,
            entry.priority, entry.auth,
        )
        for number, entry in enumerate(endpoints, 1)
    )  # fmt: skip
    names = [member.name for member in members]
    if double := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"Two [[endpoint]] entries have the name {double!r}; give each its own.")
    _check_same_model(members)
    return members


def _model(model: ModelOptions, entry: EndpointOptions) -> ModelOptions:
    name = entry.model or model.name
    azure = split_name(name)[0] == "azure"
    return replace(
        model,
        name=name,
        azure_model=(entry.azure_model or model.azure_model) if azure else None,
        base_url=entry.base_url or (None if entry.model else model.base_url),
        api_version=entry.api_version or model.api_version,
    )


def _limits(limits: LimitOptions, entry: EndpointOptions) -> LimitOptions:
    own = {name: getattr(entry, name) for name in LIMITS_OF_AN_ENDPOINT}
    return replace(limits, **{name: value for name, value in own.items() if value is not None})


def _check_same_model(members: Sequence[MemberOptions]) -> None:
    first, *others = members
    for member in members:
        if split_name(member.model.name)[0] == "builtin":
            raise UserError(
                f"{member.name} names no model that an endpoint serves; give it `model`, or [model] `name`."
            )
    expected = find_model(catalogue_name(first.model))
    for member in others:
        model = find_model(catalogue_name(member.model))
        if (model.name, model.rule) != (expected.name, expected.rule):
            raise UserError(
                f"All endpoints of a job serve the same model; {first.name} has {expected}, {member.name} has {model}."
            )
