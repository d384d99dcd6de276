"""What the networks' classes are called. Reads `labels.toml`; decides nothing."""

import tomllib
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

IMAGENET_CLASSES = 1000


@dataclass(frozen=True, slots=True)
class Phrase:
    """A kind of thing in plain English, and the network classes that mean it."""

    say: str
    """With its article: `a dog`, `fruit`."""
    classes: frozenset[int]
    """Positions in the classifiers' 1000 probabilities; empty where only the detector knows the kind."""
    many: str | None
    """Two or more of them; None where the detector does not count them."""


@dataclass(frozen=True)
class Vocabulary:
    """All phrases, and the phrase of each of the detector's 80 classes."""

    phrases: tuple[Phrase, ...]
    detected: tuple[Phrase, ...]

    @cached_property
    def members(self) -> NDArray[np.float32]:
        """(phrases, 1000): 1 where the class is below the phrase, so that `members @ probabilities` sums them."""
        table = np.zeros((len(self.phrases), IMAGENET_CLASSES), np.float32)
        for row, phrase in zip(table, self.phrases, strict=True):
            row[list(phrase.classes)] = 1
        return table

    def common(self, one: Phrase, other: Phrase) -> Phrase | None:
        """The narrowest phrase that covers both, as `an animal` covers a dog and a horse."""
        if not (one.classes and other.classes):
            return None
        over = [phrase for phrase in self.phrases if one.classes | other.classes <= phrase.classes]
        return min(over, key=lambda phrase: len(phrase.classes), default=None)


def load_vocabulary() -> Vocabulary:
    """The bundled label map."""
    document = tomllib.loads(files("pipeline.builtin").joinpath("labels.toml").read_text("utf-8"))
    phrases, detected = [], {}
    for entry in document["phrase"]:
        phrase = Phrase(entry["say"], _positions(entry.get("classes", "")), entry.get("many"))
        phrases.append(phrase)
        detected.update(dict.fromkeys(entry.get("coco", ()), phrase))
    return Vocabulary(tuple(phrases), tuple(detected[name] for name in document["detector"]))


def _positions(ranges: str) -> frozenset[int]:
    """`1-3 7` as {1, 2, 3, 7}."""
    positions: set[int] = set()
    for part in ranges.split():
        first, _, last = part.partition("-")
        positions.update(range(int(first), int(last or first) + 1))
    return frozenset(positions)
