"""Which of the networks' findings are said. Pure: numbers in, claims out.

The thresholds were chosen on 62 pictures of COCO train2017, the photographs of scikit-image and a third of a sample
with one picture of each ImageNet class. On 69 pictures looked at only afterwards (photographs, some of them generated,
products, screens, notes) it speaks of 46, and 55 of its 60 claims are right.
"""

from dataclasses import dataclass

from pipeline.builtin.labels import Phrase, Vocabulary
from pipeline.builtin.networks import Detection, Floats

CLASSIFIED = 0.5
"""Probability of a phrase over chance. On the ImageNet sample 97 % of the claims are right and 80 % of the pictures get
one; at 0.4 it is 96 and 82 %, at 0.6 99 and 75 %."""
LEADING = 0.2
"""Probability of the phrase's best class. A leaf spreads 0.7 over all insects, lizards and frogs, none above 0.17."""
CLASSIFIED_OVER_DETECTED = 0.75
"""Probability over chance from which the classifiers' word stands against the detector's (a dog, not a cat). They were
right in 21 of 21 such conflicts on the ImageNet sample; but those are the photographs they know, not drawings."""
DETECTED = 0.62
"""Score at which the detector alone is believed: 36 of 36 claims right on COCO, at 0.6 38 of 43, and between 0.5
and 0.6 a third of the people on the ImageNet sample were something else."""
DETECTED_AND_CLASSIFIED = (0.45, 0.15)
"""Score and probability over chance that together suffice: the networks share no training data."""
MAIN_AREA = 0.1
"""Share of the picture from which a thing is what the picture shows, and not something in it."""
MOST_CLAIMS = 3


@dataclass(frozen=True, slots=True)
class Claim:
    """A kind of thing that is in the picture."""

    phrase: Phrase
    many: bool
    """At least two. Never how many: the detector misses some."""
    main: bool
    """What the picture shows; otherwise something in it."""

    @property
    def words(self) -> str:
        return self.phrase.many if self.many and self.phrase.many else self.phrase.say


def claims(probabilities: Floats, detections: tuple[Detection, ...], vocabulary: Vocabulary) -> tuple[Claim, ...]:
    """At most three, the main ones first. `probabilities` (1000,) of ImageNet-1k."""
    certainty = over_chance(probabilities, vocabulary)
    found = _detected(detections, certainty, vocabulary)
    classified = _classified(probabilities, certainty, vocabulary)
    if classified:
        found = _reconciled(classified, certainty[classified], found, vocabulary)
    return tuple(sorted(found, key=lambda claim: not claim.main)[:MOST_CLAIMS])


def over_chance(probabilities: Floats, vocabulary: Vocabulary) -> dict[Phrase, float]:
    """How sure the classifiers are of each phrase: 1 certain, 0 what a network with no idea would give.

    `an animal` covers 398 of the 1000 classes, so that any texture gives it 0.4.
    """
    sums = vocabulary.members @ probabilities
    chance = vocabulary.members.mean(axis=1)
    certainty = (sums - chance) / (1 - chance)
    return {phrase: float(value) for phrase, value in zip(vocabulary.phrases, certainty, strict=True)}


def _classified(probabilities: Floats, certainty: dict[Phrase, float], vocabulary: Vocabulary) -> Phrase | None:
    """The narrowest phrase that is certain enough and has a class that leads."""
    sure = [
        phrase
        for phrase in vocabulary.phrases
        if certainty[phrase] >= CLASSIFIED and probabilities[list(phrase.classes)].max() >= LEADING
    ]
    return min(sure, key=lambda phrase: len(phrase.classes), default=None)


def _detected(detections: tuple[Detection, ...], certainty: dict[Phrase, float], vocabulary: Vocabulary) -> list[Claim]:
    """A claim for each kind that is believed, those that cover most of the picture first."""
    believed: dict[Phrase, list[Detection]] = {}
    for detection in detections:
        phrase = vocabulary.detected[detection.kind]
        if _believed(detection, certainty[phrase]) and not _inside_another(detection, believed.get(phrase, [])):
            believed.setdefault(phrase, []).append(detection)
    kinds = sorted(believed, key=lambda phrase: -sum(detection.area for detection in believed[phrase]))
    return [
        Claim(
            phrase,
            many=sum(detection.score >= DETECTED for detection in believed[phrase]) > 1,
            main=certainty[phrase] >= CLASSIFIED or sum(detection.area for detection in believed[phrase]) >= MAIN_AREA,
        )
        for phrase in kinds
    ]


def _reconciled(phrase: Phrase, certainty: float, found: list[Claim], vocabulary: Vocabulary) -> list[Claim]:
    """The detector's claims with what the classifiers say of the whole picture."""
    both = {claim: vocabulary.common(phrase, claim.phrase) for claim in found}
    if any(common is phrase or (common is claim.phrase and claim.many) for claim, common in both.items()):
        return found  # the detector says as much or more
    rivals = [claim for claim, common in both.items() if common and claim.main and common is not claim.phrase]
    if rivals and certainty < CLASSIFIED_OVER_DETECTED:
        phrase = both[rivals[0]] or phrase  # a dog or a horse: an animal
    coarser = [claim for claim, common in both.items() if common is claim.phrase]
    kept = [claim for claim in found if claim not in rivals and claim not in coarser]
    return [Claim(phrase, many=False, main=True), *kept]


def _believed(detection: Detection, certainty: float) -> bool:
    score, needed = DETECTED_AND_CLASSIFIED
    return detection.score >= DETECTED or (detection.score >= score and certainty >= needed)


def _inside_another(detection: Detection, others: list[Detection]) -> bool:
    """Whether most of the box lies in a better one of the same kind: a head within its body is not a second person."""
    left, top, right, bottom = detection.box
    for other in others:
        width = min(right, other.box[2]) - max(left, other.box[0])
        height = min(bottom, other.box[3]) - max(top, other.box[1])
        if width > 0 and height > 0 and width * height > 0.5 * min(detection.area, other.area):
            return True
    return False
