"""Predicted against billed prompt tokens: does the provider still count as the catalogue says? Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from pipeline.items import Record


@dataclass(slots=True)
class Residual:
    """Billed minus predicted prompt tokens of one model at one detail."""

    images: int = 0
    total: int = 0
    largest: int = 0
    """The residual farthest from 0, with its sign."""

    @property
    def mean(self) -> float:
        return self.total / self.images

    @property
    def systematic(self) -> bool:
        """Off by half a token or more in the mean: a rule that has changed, not one odd image in a thousand."""
        return abs(self.mean) >= 0.5

    def add(self, residual: int) -> None:
        """Take one image in."""
        self.images += 1
        self.total += residual
        if abs(residual) > abs(self.largest):
            self.largest = residual

    def usd(self, per_input_token: Decimal) -> Decimal:
        """What the difference cost; negative when less was billed than predicted."""
        return self.total * per_input_token


Residuals = dict[tuple[str, str], Residual]
"""By model and detail."""


def compare(residuals: Residuals, record: Record) -> None:
    """Take one row in, if it was both predicted and billed."""
    predicted, billed = record.predicted_prompt_tokens, record.prompt_tokens
    if predicted is not None and billed is not None:
        key = (record.model, record.detail or "")
        if key not in residuals:
            residuals[key] = Residual()
        residuals[key].add(billed - predicted)


def residuals_to_list(residuals: Mapping[tuple[str, str], Residual], per_input_token: Decimal | None) -> list[object]:
    """Plain JSON values, for the summary; dollars are null where the price is unknown."""
    return [
        {
            "model": model,
            "detail": detail,
            "images": residual.images,
            "mean_residual_tokens": round(residual.mean, 3),
            "largest_residual_tokens": residual.largest,
            "systematic": residual.systematic,
            "usd": None if per_input_token is None else str(residual.usd(per_input_token)),
        }
        for (model, detail), residual in residuals.items()
    ]
