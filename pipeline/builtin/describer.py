"""The describer itself: what the engine calls, from its worker threads. Needs the extra `builtin`."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.builtin import colours
from pipeline.builtin.content import claims
from pipeline.builtin.labels import Vocabulary, load_vocabulary
from pipeline.builtin.networks import Networks, load_networks
from pipeline.builtin.ocr import Reader, load_reader
from pipeline.builtin.sentences import Findings, describe
from pipeline.images import decode_rgb
from pipeline.items import Reply, Usage

MODEL = "describe"


@dataclass(frozen=True, slots=True)
class Describer:
    """Looks at pictures. Stateless after loading; its methods may be called from several threads at once."""

    networks: Networks
    vocabulary: Vocabulary
    read_text: Reader | None = None
    """None without OCR."""

    def describe(self, pixels: NDArray[np.uint8]) -> str:
        """One to three sentences on an sRGB picture of shape (height, width, 3); the same for the same picture."""
        height, width, _ = pixels.shape
        lab = colours.sample(pixels)
        findings = Findings(width, height, colours.main_colours(lab), colours.is_grey(lab), colours.is_plain(lab))
        if findings.plain or findings.very_small:
            return describe(findings)
        found = claims(self.networks.classify(pixels), self.networks.detect(pixels), self.vocabulary)
        text = tuple(line.text for line in self.read_text(pixels)) if self.read_text else ()
        return describe(replace(findings, claims=found, text=text))

    def describe_image(self, data: bytes) -> Reply:
        """The answer for an encoded image. Raises ImageError for one that cannot be decoded."""
        caption = self.describe(decode_rgb(data))
        return Reply(caption, Usage(), finish_reason="stop", model_returned=MODEL)


def load_describer() -> Describer:
    """Loads the networks, and OCR where the extra `ocr` is installed. Raises MissingExtra without onnxruntime."""
    return Describer(load_networks(), load_vocabulary(), load_reader())
