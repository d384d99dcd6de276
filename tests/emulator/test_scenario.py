from pathlib import Path

import pytest

from pipeline.emulator.faults import Step
from pipeline.emulator.options import EmulatorOptions, EndpointOptions
from pipeline.emulator.scenario import Scenario, load_scenario
from pipeline.errors import UserError


def load(tmp_path, text: str) -> Scenario:
    path = tmp_path / "night.toml"
    path.write_text(text)
    return load_scenario(path)


def test_steps_are_read(tmp_path):
    scenario = load(
        tmp_path,
        """
        [[step]]
        fault = "rate_limit"
        requests = [1, 20]
        retry_after = 2

        [[step]]
        fault = "overloaded"
        seconds = [30, 60.5]
        rate = 0.5
        """,
    )
    assert scenario.steps == (
        Step("rate_limit", requests=(1, 20), retry_after=2),
        Step("overloaded", seconds=(30, 60.5), rate=0.5),
    )
    assert scenario.endpoints == {}


def test_an_endpoint_is_as_the_emulator_but_for_what_it_says(tmp_path):
    scenario = load(
        tmp_path,
        """
        [[endpoint]]
        name = "east"
        rpm = 300

        [[endpoint]]
        name = "west"
        tpm = 50_000
        rates = { overloaded = 0.1 }

        [[step]]
        fault = "cut"
        endpoint = "east"
        seconds = [60, 90]
        """,
    )
    options = scenario.applied_to(EmulatorOptions(rpm=60, latency=1.5, seed=3))
    east, west = options.endpoint("east"), options.endpoint("west")
    assert east
    assert west
    assert (east.rpm, east.latency, east.rates) == (300, 1.5, {})
    assert (west.rpm, west.tpm, west.rates) == (60, 50_000, {"overloaded": 0.1})
    assert options.endpoint("") is options
    assert options.endpoint("north") is None
    assert (options.rpm, options.seed) == (60, 3)
    assert options.scenario == (Step("cut", endpoint="east", seconds=(60, 90)),)


def test_an_endpoint_that_is_there_already_is_changed_in_what_the_file_says(tmp_path):
    scenario = load(tmp_path, '[[endpoint]]\nname = "east"\nlatency = 9.0')
    options = scenario.applied_to(EmulatorOptions(endpoints={"east": EndpointOptions(rpm=300)}))
    east = options.endpoint("east")
    assert east
    assert (east.rpm, east.latency) == (300, 9.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[step]]\nfault = "overlaoded"', "did you mean overloaded"),
        ('[[step]]\nfault = "cut"\nrequest = [1, 2]', "Unknown key 'request' in step 1 .*did you mean requests"),
        ('[[step]]\nfault = "cut"\nrequests = 3', "requests in step 1"),
        ('[[step]]\nfault = "cut"\nseconds = [3]', "seconds.* in step 1"),
        ('[[step]]\nfault = "cut"\nrate = "often"', "rate in step 1"),
        ("[[step]]\nrate = 1.0", "No fault is named in step 1"),
        ('[step]\nfault = "cut"', "two brackets"),
        ("steps = []", "must hold"),
        ("", "must hold"),
        ("[[step", "cannot be read"),
        ("[[endpoint]]\nrpm = 3", "name None in endpoint 1"),
        ('[[endpoint]]\nname = "v1"', "name 'v1' in endpoint 1"),
        ('[[endpoint]]\nname = "a/b"', "name 'a/b' in endpoint 1"),
        ('[[endpoint]]\nname = "a"\nrmp = 3', "Unknown key 'rmp' in endpoint 1 .*did you mean rpm"),
        ('[[endpoint]]\nname = "a"\nrpm = "many"', "rpm in endpoint 1"),
        ('[[endpoint]]\nname = "a"\nrpm = -1', "rpm is -1"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        load(tmp_path, text)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.toml cannot be read"):
        load_scenario(tmp_path / "nowhere.toml")


def test_a_step_for_an_endpoint_that_is_not_there_is_refused(tmp_path):
    scenario = load(tmp_path, '[[step]]\nfault = "cut"\nendpoint = "east"')
    with pytest.raises(UserError, match="names endpoint 'east'; there are: none"):
        scenario.applied_to(EmulatorOptions())


def test_the_scenarios_that_come_along_are_valid():
    files = list((Path(__file__).parents[2] / "jobs" / "scenarios").glob("*.toml"))
    assert files
    for path in files:
        assert load_scenario(path).steps
