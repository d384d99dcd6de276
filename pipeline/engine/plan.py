"""What a run needs to know, as plain values: the sum of the rooms' options. `job` builds it."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from pipeline.api.endpoint import catalogue_name
from pipeline.api.options import ModelOptions
from pipeline.api.pool.members import MemberOptions
from pipeline.errors import UserError
from pipeline.images import ImageOptions
from pipeline.reasons import unknown_reason
from pipeline.sources import SourceOptions
from pipeline.store import StoreOptions

MOST_BITS = 16
"""Other pictures differ in 22 and more."""
ANSWERED = ("truncated", "refused", "repetition", "wrong_language", "empty_reply", "filtered")
"""Reasons of an answer that another try may better."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What this run shall do; none of it changes what is asked."""

    limit: int | None = None
    """Ask for at most so many images, then stop (exit 4)."""
    deadline: str | None = None
    """Be done by then (exit 4 if there is more to do): `06:00`, the next one where this machine is, or an ISO time.
    Nothing new is sent when what is in flight would not be answered in time; that is waited for a minute longer."""
    grace_seconds: float = 25.0
    """After SIGTERM, how long what is in flight is waited for; Kubernetes kills after 30 s."""
    max_cost: Decimal | None = None
    """USD that this run may spend, at most; what is in OUT already does not count (exit 4)."""
    max_bytes_in_flight: int = 128 * 1024 * 1024
    """Request bodies in memory at once, from ready until answered."""
    retry: tuple[str, ...] = ()
    """Reasons: ask again for the rows of the output that ended so, and for nothing else (`nightcap retry`)."""
    reask: tuple[str, ...] = ()
    """Reasons for which an image is asked once more at once: `truncated`, `refused`, `repetition`, `wrong_language`,
    `empty_reply`, `filtered`. Costs another request; the row holds the usage of both."""
    near_duplicates: int = 0
    """An image takes the caption of one of this run whose structure differs in at most so many of 63 bits, and its
    colours hardly; 4 forgives another size and quality. 0: only the same bytes are the same."""
    language: str | None = None
    """ISO 639-1 code, as `de`: an answer in another language is no caption (extra `language`)."""
    raised_max_tokens: int | None = None
    """Upper bound of an answer that is asked for again because it was cut off; None: twice `max_tokens`."""
    fetchers: int = 32
    """Files of a remote source on their way at once."""
    max_prepare_seconds: float = 60.0
    """What reading and decoding may take, of each image; the one on which it takes longer is a row (`undecodable`)."""
    max_prepare_bytes: int = 3 * 1024**3
    """Memory of one of the processes that decode images, of which there are as many as cores."""

    def __post_init__(self) -> None:
        if wrong := unknown_reason(self.retry):
            raise UserError(wrong)
        if not 0 <= self.near_duplicates <= MOST_BITS:
            raise UserError(f"near_duplicates is {self.near_duplicates}; give bits between 0 and {MOST_BITS}.")
        for reason in self.reask:
            if reason not in ANSWERED:
                raise UserError(f"reask names {reason!r}; it takes {', '.join(ANSWERED)}.")
        if self.raised_max_tokens is not None and self.raised_max_tokens < 1:
            raise UserError(f"raised_max_tokens is {self.raised_max_tokens}; give 1 or more.")
        if self.fetchers < 1:
            raise UserError(f"fetchers is {self.fetchers}; give how many files to fetch at once, 1 or more.")
        if self.max_cost is not None and not 0 < self.max_cost < Decimal("Infinity"):
            raise UserError(f"max_cost is {self.max_cost}; give a number of dollars above 0.")
        if self.limit is not None and self.limit < 0:
            raise UserError(f"limit is {self.limit}; give how many images to ask for at most.")
        if not 0 <= self.grace_seconds < float("inf"):
            raise UserError(f"grace_seconds is {self.grace_seconds}; give seconds from 0 on.")


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything of one run."""

    source: SourceOptions
    image: ImageOptions
    members: tuple[MemberOptions, ...]
    """The endpoints that share the job, at least one; all serve the same model."""
    store: StoreOptions
    run: RunOptions
    out: str
    request_hash: str
    document: Mapping[str, object]
    """The job as it is written to `_nightcap/job.json`; holds no secret."""

    @property
    def model(self) -> ModelOptions:
        """What is asked, whoever is asked."""
        return self.members[0].model

    @property
    def asked(self) -> str:
        """Who is asked, for people."""
        if len(self.members) == 1:
            return self.model.name
        return f"{catalogue_name(self.model)} at {len(self.members)} endpoints"

    @property
    def raised_max_tokens(self) -> int:
        """Upper bound of an answer that is asked for again because it was cut off."""
        return self.run.raised_max_tokens or 2 * self.model.max_tokens
