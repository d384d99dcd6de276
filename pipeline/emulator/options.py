"""What can be set about the emulator. Knows nothing of the wire."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pipeline.emulator.faults import Step, check_fault
from pipeline.errors import UserError

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointOptions:
    """One endpoint: what it answers as, how much, how fast, and how often it fails. Times are seconds of its clock."""

    model: str | None = None
    """The model whose rules hold whatever a request names; None: the one that the request names, 404 if unknown."""
    deployments: Mapping[str, str] = field(default_factory=dict)
    """Azure deployment to model. Empty: every deployment exists, and runs `model`, the model of its name, or gpt-4o."""
    rpm: float | None = None
    """Requests per minute, for each model or deployment; None: unlimited, and no rate-limit headers."""
    tpm: float | None = None
    request_window: float = 60.0
    """Also enforce the request limit's share of so many seconds (10 or 1: what Azure does)."""
    token_window: float = 60.0
    latency: float = 0.0
    """Median time to the first token."""
    token_latency: float = 0.0
    """Median time for each further token of the answer."""
    latency_sigma: float = 0.0
    """Spread of the log-normal latency; 0.35 is typical of a busy service, 0 means always the median."""
    caption_tokens: int = 0
    """Answers are filled up to about so many tokens."""
    reasoning_tokens: int = 0
    """Tokens that reasoning models spend unseen before they answer; they count towards max_completion_tokens."""
    rates: Mapping[str, float] = field(default_factory=dict)
    """Share of requests that meet a fault: {"overloaded": 0.02, "refusal": 0.01}; names in `faults.FAULTS`."""

    def __post_init__(self) -> None:
        for name, rate in self.rates.items():
            check_fault(name, "the fault rates")
            if not 0 <= rate <= 1:
                raise UserError(f"The rate of fault {name!r} is {rate:g}; give a share between 0 and 1.")
        for limit in ("rpm", "tpm", "request_window", "token_window"):
            value = getattr(self, limit)
            if value is not None and value <= 0:
                raise UserError(f"{limit} is {value}; give a number above 0.")
        for name in ("latency", "token_latency", "latency_sigma", "caption_tokens", "reasoning_tokens"):
            if getattr(self, name) < 0:
                raise UserError(f"{name} is {getattr(self, name)}; give 0 or more.")


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorOptions(EndpointOptions):
    """A server as patient, as strict and as broken as wanted. It is itself the endpoint without a name."""

    host: str = "127.0.0.1"
    port: int = 0
    """0: any free port."""
    provider: Literal["both", "openai", "azure"] = "both"
    """Whose URLs are served: `/v1/...` is OpenAI, `/openai/...` is Azure; each answers in its own manner."""
    endpoints: Mapping[str, EndpointOptions] = field(default_factory=dict)
    """Further ones, each with its own quota, under `/NAME/v1/...` and `/NAME/openai/...`."""
    api_key: str | None = field(default=None, repr=False)
    """Requests with any other key get 401; None: no key is needed."""
    entra_seconds: float | None = None
    """Azure takes no keys but tokens, which live so long; `GET /identity/token` gives them. None: it takes keys."""
    vision_rpm: float | None = None
    """Images per minute that Image Analysis looks at (`/computervision/imageanalysis:analyze`); None: unlimited."""
    ingestion_seconds: float = 0.0
    """How long an ingestion of videos into an index takes at least (`/computervision/retrieval`)."""
    scenario: tuple[Step, ...] = ()
    """Faults at set times, numbers or images; goes before `rates`."""
    seed: int = 0
    time_scale: float = 1.0
    """How much faster its clock goes: 60 rehearses an hour in a minute, for a client whose clock goes as fast."""
    decode: bool = False
    """Decode every image fully, which finds damage inside too but costs ten times the whole rest (3 ms for 640x480)."""
    max_body_bytes: int = 50 * MIB
    """Larger requests get 413."""

    def __post_init__(self) -> None:
        EndpointOptions.__post_init__(self)  # a slotted class is another one than `super()` means
        if self.entra_seconds is not None and self.entra_seconds <= 0:
            raise UserError(f"entra_seconds is {self.entra_seconds:g}; give seconds above 0.")
        if self.vision_rpm is not None and self.vision_rpm <= 0:
            raise UserError(f"vision_rpm is {self.vision_rpm:g}; give a number above 0.")
        if self.ingestion_seconds < 0:
            raise UserError(f"ingestion_seconds is {self.ingestion_seconds:g}; give 0 or more.")
        if self.time_scale <= 0:
            raise UserError(f"The time scale is {self.time_scale:g}; give a number above 0.")
        for number, step in enumerate(self.scenario, 1):
            if step.endpoint and step.endpoint not in self.endpoints:
                known = ", ".join(self.endpoints) or "none"
                raise UserError(f"Step {number} of the scenario names endpoint {step.endpoint!r}; there are: {known}.")

    def endpoint(self, name: str) -> EndpointOptions | None:
        """The endpoint of that name; "" is the emulator itself."""
        return self.endpoints.get(name) if name else self
