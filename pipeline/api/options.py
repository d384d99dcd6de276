"""What a user may choose about the model and the limits. Knows nothing of the wire."""

from dataclasses import dataclass

from pipeline.errors import UserError

DEFAULT_MODEL = "builtin:describe"
DEFAULT_PROMPT = "Describe this image in one or two plain sentences."


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """Which model is asked, and what. Everything here but the addresses changes the request, hence `request_hash`."""

    name: str = DEFAULT_MODEL
    """`provider:model`; a bare name means `openai:`."""
    prompt: str = DEFAULT_PROMPT
    system: str = ""
    detail: str = "high"
    max_tokens: int = 300
    """Upper bound of an answer, in tokens; reasoning models spend their reasoning from it too."""
    image_policy: str = "optimal"
    """How images are shrunk for this model: optimal, economy, budget:N or original."""
    max_shrink: float = 0.25
    """What `economy` may take off a side, as a fraction."""
    azure_model: str | None = None
    """The model behind an Azure deployment, for its token rule and price."""
    base_url: str | None = None
    """Overrides OPENAI_BASE_URL or AZURE_OPENAI_ENDPOINT."""
    api_version: str | None = None
    """Azure: overrides OPENAI_API_VERSION; none of both means the undated `/openai/v1/` form."""

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise UserError(f"max_tokens is {self.max_tokens}; give 1 or more.")
        if not 0 <= self.max_shrink <= 1:
            raise UserError(f"max_shrink is {self.max_shrink}; give a fraction between 0 and 1.")


@dataclass(frozen=True, slots=True)
class LimitOptions:
    """How fast and how often the endpoint is asked. None of it changes an answer."""

    rpm: float | None = None
    """Requests per minute that the account allows; None: unknown."""
    tpm: float | None = None
    """Tokens per minute that the account allows; None: unknown."""
    concurrency: int = 32
    """Requests in flight at once, at most."""
    max_attempts: int = 6
    """Tries of one image, rate limits not counted: a 429 is the account's trouble, not the image's."""
    timeout_seconds: float = 120.0
    """For one request, from sending to the last byte of the answer."""
    patience_seconds: float = 600.0
    """How long an endpoint may be unreachable, or ask to wait, before the run stops."""

    def __post_init__(self) -> None:
        for name in ("rpm", "tpm", "timeout_seconds", "patience_seconds"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise UserError(f"{name} is {value}; give a number above 0.")
        for name in ("concurrency", "max_attempts"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}; give 1 or more.")
