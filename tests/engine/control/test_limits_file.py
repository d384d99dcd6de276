"""The control file: what it says, what it may not say."""

import pytest

from pipeline.api.options import LimitOptions
from pipeline.engine.control.limits_file import differences, read_limits
from pipeline.errors import UserError

ALONE = {"": LimitOptions(rpm=600, tpm=100_000)}
POOL = {"west": LimitOptions(rpm=600), "east": LimitOptions(rpm=100, concurrency=4)}


def test_without_a_file_the_job_holds() -> None:
    assert read_limits(None, POOL) == POOL
    assert read_limits(b"# nothing yet\n", ALONE) == ALONE


def test_what_is_named_changes_and_the_rest_is_the_jobs() -> None:
    assert read_limits(b"rpm = 300\nconcurrency = 2", ALONE) == {"": LimitOptions(300, 100_000, 2)}


def test_of_all_endpoints_and_of_one() -> None:
    found = read_limits(b"concurrency = 9\n[west]\nrpm = 60.5\nconcurrency = 3\n", POOL)
    assert found == {"west": LimitOptions(rpm=60.5, concurrency=3), "east": LimitOptions(rpm=100, concurrency=9)}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"rpm = ", "no TOML"),
        (b"\xff\xfe", "no TOML"),
        (b"rpmm = 3", "knows rpm, tpm, concurrency, and not 'rpmm'"),
        (b"rpm = '300'", "rpm is '300'; give a number"),
        (b"rpm = true", "rpm is True"),
        (b"rpm = 0", "rpm is 0; give a number above 0"),
        (b"rpm = nan", "above 0"),
        (b"rpm = inf", "at most"),
        (b"rpm = -300", "rpm is -300; give a number above 0"),
        (b"tpm = 1" + b"0" * 30, "at most 1,000,000,000,000"),
        (b"tpm = 1" + b"0" * 400, "at most 1,000,000,000,000"),
        (b"tpm = 1" + b"0" * 5000, "no TOML"),
        (b"concurrency = 1" + b"0" * 30, "at most 65,536"),
        (b"concurrency = 1.5", "concurrency is 1.5"),
        (b"concurrency = 0", "give 1 or more"),
        (b"[north]\nrpm = 3", "no endpoint 'north'; there are west, east"),
        (b"[west]\nprompt = 'x'", "not 'prompt'"),
        (b"west = 300", "not 'west'"),
    ],
)
def test_what_is_wrong_is_one_sentence(content: bytes, said: str) -> None:
    with pytest.raises(UserError, match=said):
        read_limits(content, POOL)


def test_differences_in_words() -> None:
    told = list(differences(LimitOptions(rpm=600, tpm=1_000_000), LimitOptions(rpm=60.5, concurrency=8)))
    assert told == [
        "rpm 60.5 instead of 600",
        "tpm unlimited instead of 1,000,000",
        "concurrency 8 instead of unlimited",
    ]
    assert list(differences(LimitOptions(), LimitOptions())) == []
