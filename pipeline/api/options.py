"""What a user may choose about the model and the limits. Knows nothing of the wire."""

import re
from dataclasses import dataclass, replace
from typing import Literal

from pipeline.api.retrieval.names import check_index_name
from pipeline.errors import UserError

DEFAULT_MODEL = "builtin:describe"
# Of an endpoint that nobody has described; memory for bodies in flight is limited elsewhere.
MOST_IN_FLIGHT = 256
# More is a slip of the finger, and would be reckoned with or waited for: the ports of a host, a number beyond doubles.
HIGHEST_COUNT = 65_536
HIGHEST_LIMIT = 10**12
ENHANCEMENTS = ("ocr", "grounding")
DEFAULT_PROMPT = "Describe this image in one or two plain sentences."
# What the default becomes for a video.
DEFAULT_VIDEO_PROMPT = (
    "Describe this video in one or two plain sentences. You see frames of it, each after the time at which it is shown."
)
DEFAULT_INDEXED_PROMPT = "Describe this video in one or two plain sentences."
VideoAccess = Literal["auto", "vision", "vision-endpoint", "ai-services", "managed-identity"]


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """Which model is asked, and what. Everything here but the addresses changes the request, hence `request_hash`."""

    name: str = DEFAULT_MODEL
    """`provider:model`; a bare name means `openai:`."""
    prompt: str = DEFAULT_PROMPT
    system: str = ""
    schema: str | None = None
    """JSON Schema of an answer, as JSON; None: an answer is a caption in plain text."""
    detail: str | None = None
    """How closely pictures are looked at: low, high, auto or what else the model knows. None: `high` for an image,
    `low` for a frame of a video, of which there are many."""
    frames: int = 20
    """Of a video, at most; fewer where the provider takes fewer images in a request, or the video has fewer."""
    frames_at: Literal["even", "scenes"] = "even"
    """Evenly spread over a video, or one in each of its scenes where they are no more than `frames`."""
    max_tokens: int = 300
    """Upper bound of an answer, in tokens; reasoning models spend their reasoning from it too."""
    temperature: float | None = None
    """0 to 2; None: the model's own. Left out for a model that refuses it, as reasoning models do."""
    image_policy: str = "optimal"
    """How images are shrunk for this model: optimal, economy, budget:N or original."""
    max_shrink: float = 0.25
    """What `economy` may take off a side, as a fraction."""
    pack: int = 1
    """Images asked about in one request, each for an answer of its own: they share the prompt and the request."""
    send: Literal["bytes", "url"] = "bytes"
    """`url`: an image at a web address is named by it, and the model's server fetches the original; where it cannot,
    the bytes are sent after all."""
    enhance: tuple[str, ...] = ()
    """`ocr`, `grounding`: text and objects are looked for in the image first, told to the model, and put into the
    column `grounding` with their places."""
    enhance_with: Literal["auto", "azure-openai", "image-analysis", "rapidocr"] = "auto"
    """Who looks: Azure OpenAI itself (api-versions up to 2024-03-01-preview), Azure AI Vision's Image Analysis, or
    RapidOCR on this machine (text alone); auto: the first of them that is there."""
    video_index: str | None = None
    """Name of an index of Azure AI Vision: the sources are videos, which the model's service finds there by their ids
    (api-versions up to 2024-03-01-preview)."""
    video_access: VideoAccess = "auto"
    """How the service gets at the index and its videos: with the key of the resource in VISION_ENDPOINT (`vision`, or
    `vision-endpoint` as other guides write it), as an Azure AI Services resource that is both (`ai-services`), or that
    reads the videos in its own name too (`managed-identity`). auto: `ai-services` where no other resource is named."""
    azure_model: str | None = None
    """The model behind an Azure deployment, for its token rule and price."""
    base_url: str | None = None
    """Overrides OPENAI_BASE_URL or AZURE_OPENAI_ENDPOINT."""
    api_version: str | None = None
    """Azure: overrides OPENAI_API_VERSION; none of both means the undated `/openai/v1/` form."""

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise UserError(f"max_tokens is {self.max_tokens}; give 1 or more.")
        if self.temperature is not None and not 0 <= self.temperature <= 2:
            raise UserError(f"temperature is {self.temperature}; give a number between 0 and 2.")
        if self.pack < 1:
            raise UserError(f"pack is {self.pack}; give how many images to ask about in one request, 1 or more.")
        if not 0 <= self.max_shrink <= 1:
            raise UserError(f"max_shrink is {self.max_shrink}; give a fraction between 0 and 1.")
        if self.frames < 1:
            raise UserError(f"frames is {self.frames}; give how many frames of a video to send, 1 or more.")
        self._check_enhance()
        if self.video_index is not None or self.video_access != "auto":
            self._check_video_index()

    @property
    def of_videos(self) -> "ModelOptions":
        """The same for the frames of a video."""
        prompt = DEFAULT_VIDEO_PROMPT if self.prompt == DEFAULT_PROMPT else self.prompt
        return replace(self, prompt=prompt, detail=self.frame_detail)

    @property
    def image_detail(self) -> str:
        return self.detail or "high"

    @property
    def frame_detail(self) -> str:
        return self.detail or "low"

    def _check_enhance(self) -> None:
        for name in self.enhance:
            if name not in ENHANCEMENTS:
                raise UserError(f"enhance names {name!r}; it takes {' and '.join(ENHANCEMENTS)}.")
        if self.enhance_with != "auto" and not self.enhance:
            raise UserError(f"enhance_with is {self.enhance_with!r}, and nothing is to be found: give enhance too.")
        if self.enhance and self.pack > 1:
            raise UserError(f"enhance takes one image in a request, and pack is {self.pack}; leave one out.")
        # In one order, as the same is asked for in any.
        object.__setattr__(self, "enhance", tuple(name for name in ENHANCEMENTS if name in self.enhance))

    def _check_video_index(self) -> None:
        if self.video_index is None:
            raise UserError(f"video_access is {self.video_access!r}, and no video_index is named.")
        check_index_name(self.video_index)
        usual = {"schema": None, "enhance": (), "send": "bytes", "frames": 20, "frames_at": "even", "pack": 1,
                 "image_policy": "optimal"}  # fmt: skip
        wrong = [name for name, value in usual.items() if getattr(self, name) != value]
        if self.detail not in (None, "low"):
            wrong.append("detail")
        if wrong:
            raise UserError(
                f"{wrong[0]} means nothing to a video_index, whose service looks at the videos; leave it out."
            )
        # The service takes 20 frames of 512 px, whatever is asked for (how-to 2023-11).
        object.__setattr__(self, "detail", "low")
        if self.prompt == DEFAULT_PROMPT:
            object.__setattr__(self, "prompt", DEFAULT_INDEXED_PROMPT)


Auth = Literal["key", "entra"]
"""What Azure is shown: a key, or a token of Entra ID."""

Counting = Literal["provider", "sum", "larger", "usage"]
"""What a request counts for when it is admitted: `sum` of prompt and max_tokens (Azure), the `larger` of both (OpenAI),
or the sum until the reply tells its `usage` (others)."""


@dataclass(frozen=True, slots=True)
class LimitOptions:
    """How fast and how often the endpoint is asked. None of it changes an answer."""

    rpm: float | None = None
    """Requests per minute that the account allows; None: unknown."""
    tpm: float | None = None
    """Tokens per minute that the account allows; None: unknown."""
    concurrency: int | None = None
    """Requests in flight at once, at most; None: as many as the endpoint turns out to carry, up to MOST_IN_FLIGHT."""
    request_windows: tuple[float, ...] | None = None
    """Also keep the share of `rpm` in so many seconds; None: what the provider enforces (Azure: 10 and 1)."""
    token_windows: tuple[float, ...] | None = None
    """The same for `tpm`; None: the minute alone."""
    token_counting: Counting = "provider"
    max_attempts: int = 6
    """Tries of one image, rate limits not counted: a 429 is the account's trouble, not the image's."""
    timeout_seconds: float = 120.0
    """For one request, from sending to the last byte of the answer."""
    patience_seconds: float = 600.0
    """How long an endpoint may be unreachable, or ask to wait, before the run stops."""
    vision_rpm: float = 1200.0
    """Images per minute that Image Analysis is asked about (`enhance`): 20 a second in its tier S1; F0 has 20."""

    def __post_init__(self) -> None:
        for name in ("rpm", "tpm", "timeout_seconds", "patience_seconds", "vision_rpm"):
            value = getattr(self, name)
            if value is not None and not 0 < value <= HIGHEST_LIMIT:
                raise UserError(f"{name} is {value}; give a number above 0, at most {HIGHEST_LIMIT:,}.")
        for name in ("request_windows", "token_windows"):
            for seconds in getattr(self, name) or ():
                if not 1 <= seconds <= 60:
                    raise UserError(f"{name} has {seconds}; give seconds between 1 and 60.")
        for name in ("concurrency", "max_attempts"):
            value = getattr(self, name)
            if value is not None and not 1 <= value <= HIGHEST_COUNT:
                raise UserError(f"{name} is {value}; give 1 or more, at most {HIGHEST_COUNT:,}.")

    @property
    def most_in_flight(self) -> int:
        return MOST_IN_FLIGHT if self.concurrency is None else self.concurrency


LIMITS_OF_AN_ENDPOINT = ("rpm", "tpm", "concurrency", "request_windows", "token_windows", "token_counting")


@dataclass(frozen=True, slots=True)
class EndpointOptions:
    """One of several endpoints that share a job; all of them serve the same model. What it leaves out is as [model] and
    [limits] have it. None of it changes an answer, nor `request_hash`.
    """

    name: str = ""
    """In the log and in what `nightcap doctor` says; empty: its number."""
    model: str | None = None
    """`azure:DEPLOYMENT`, `openai:NAME`, `compatible:NAME`; None: [model]'s, with its base_url."""
    azure_model: str | None = None
    base_url: str | None = None
    api_version: str | None = None
    key_env: str | None = None
    """Name of the environment variable that holds its key, never the key; None: the provider's usual one."""
    auth: Auth | None = None
    """Azure: `entra` for tokens in place of a key, `key` for nothing but a key; None: a token where no key is set."""
    priority: int = 1
    """Endpoints with a higher number are asked only when those with a lower one have no room."""
    rpm: float | None = None
    tpm: float | None = None
    concurrency: int | None = None
    request_windows: tuple[float, ...] | None = None
    token_windows: tuple[float, ...] | None = None
    token_counting: Counting | None = None

    def __post_init__(self) -> None:
        if self.key_env is not None and not re.fullmatch(r"[A-Z][A-Z0-9_]*", self.key_env):
            # Not quoted: it may be the key itself.
            raise UserError(
                "key_env of an endpoint is the name of an environment variable, in capitals, e.g. WEST_KEY; "
                "the key itself belongs into that variable."
            )
        if self.auth == "entra" and self.key_env:
            raise UserError(f"An endpoint has both key_env = {self.key_env!r} and auth = 'entra'; leave one out.")
        LimitOptions(**{name: value for name in LIMITS_OF_AN_ENDPOINT if (value := getattr(self, name)) is not None})
