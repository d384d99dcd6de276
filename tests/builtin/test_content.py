"""Which findings are said: invented numbers in, words out."""

import numpy as np
import pytest

from pipeline.builtin.content import claims, over_chance
from pipeline.builtin.labels import load_vocabulary
from pipeline.builtin.networks import Detection

WORDS = load_vocabulary()
# ImageNet-1k
LABRADOR, TABBY, PARROT, GRAND_PIANO, BAGUETTE = 208, 281, 88, 579, 930
# COCO-80
PERSON, CAR, BIRD, CAT, HORSE, PIZZA, TV = 0, 2, 14, 15, 17, 53, 62


def probabilities(**share: float) -> np.ndarray:
    """The rest is spread evenly, as by a network with no idea."""
    names = {name: globals()[name.upper()] for name in share}
    result = np.full(1000, (1 - sum(share.values())) / 1000)
    for name, index in names.items():
        result[index] += share[name]
    return result


def seen(kind: int, score: float, left: float = 0.1, right: float = 0.6) -> Detection:
    return Detection(kind, score, (left, 0.1, right, 0.6))


def said(share: dict[str, float], *detections: Detection) -> list[str]:
    return [claim.words for claim in claims(probabilities(**share), detections, WORDS)]


def test_nothing_is_said_of_nothing() -> None:
    assert said({}) == []


def test_a_network_with_no_idea_is_not_sure_of_an_animal() -> None:
    assert max(over_chance(probabilities(), WORDS).values()) == pytest.approx(0, abs=1e-6)


def test_the_classifiers_alone_must_be_sure() -> None:
    assert said({"labrador": 0.6}) == ["a dog"]
    assert said({"labrador": 0.4}) == []


def test_breeds_add_up_to_a_dog() -> None:
    spread = np.zeros(1000)
    spread[151:269], spread[LABRADOR] = 0.75 / 117, 0.25
    assert [claim.words for claim in claims(spread, (), WORDS)] == ["a dog"]


def test_a_kind_in_which_no_class_leads_is_not_said() -> None:
    spread = np.zeros(1000)
    spread[:398] = 1 / 398
    assert claims(spread, (), WORDS) == ()


def test_animals_of_several_kinds_are_an_animal() -> None:
    assert said({"labrador": 0.4, "tabby": 0.4}) == ["an animal"]


def test_the_detector_alone_must_be_surer_than_with_the_classifiers() -> None:
    assert said({}, seen(CAR, 0.55)) == []
    assert said({}, seen(CAR, 0.65)) == ["a car"]
    assert said({"tabby": 0.3}, seen(CAT, 0.5)) == ["a cat"]


def test_several_are_said_only_when_each_is_sure() -> None:
    assert said({}, seen(PERSON, 0.8, 0.0, 0.3), seen(PERSON, 0.7, 0.5, 0.9)) == ["people"]
    assert said({"tabby": 0.6}, seen(CAT, 0.8, 0.0, 0.3), seen(CAT, 0.5, 0.5, 0.9)) == ["a cat"]


def test_a_box_within_a_box_is_one_thing() -> None:
    assert said({}, seen(PERSON, 0.8, 0.1, 0.6), seen(PERSON, 0.7, 0.2, 0.4)) == ["a person"]


def test_what_fills_the_picture_comes_first() -> None:
    car, person = Detection(CAR, 0.9, (0, 0, 0.1, 0.1)), Detection(PERSON, 0.7, (0.2, 0, 0.9, 1))
    first, second = claims(probabilities(), (car, person), WORDS)
    assert (first.words, first.main) == ("a person", True)
    assert (second.words, second.main) == ("a car", False)


def test_both_networks_on_one_thing_say_it_once() -> None:
    assert said({"tabby": 0.9}, seen(CAT, 0.9)) == ["a cat"]


def test_the_finer_word_stands() -> None:
    assert said({"parrot": 0.9}, seen(BIRD, 0.9)) == ["a parrot"]
    assert said({"baguette": 0.9}, seen(PIZZA, 0.9)) == ["bread"]


def test_several_birds_stay_birds() -> None:
    assert said({"parrot": 0.9}, seen(BIRD, 0.9, 0.0, 0.3), seen(BIRD, 0.9, 0.5, 0.9)) == ["birds"]


def test_networks_that_disagree_say_only_what_they_share() -> None:
    assert said({"labrador": 0.65}, seen(HORSE, 0.7)) == ["an animal"]


def test_sure_classifiers_overrule_the_detector() -> None:
    assert said({"labrador": 0.9}, seen(CAT, 0.7)) == ["a dog"]


def test_unrelated_things_are_both_said() -> None:
    assert said({"grand_piano": 0.9}, seen(PERSON, 0.9)) == ["a piano", "a person"]


def test_a_small_animal_beside_another_is_no_rival() -> None:
    far = Detection(HORSE, 0.9, (0.9, 0.9, 1.0, 1.0))
    assert said({"labrador": 0.65}, far) == ["a dog", "a horse"]


def test_three_things_at_most() -> None:
    assert len(said({"grand_piano": 0.9}, *(seen(kind, 0.9) for kind in (PERSON, CAR, CAT, TV)))) == 3
