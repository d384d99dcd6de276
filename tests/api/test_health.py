from pipeline.api.health import Health


def test_one_image_that_fails_is_no_outage() -> None:
    health = Health()
    for second in range(100):
        health.failed("a", second)
        health.failed("b", second)
    assert health.outage_seconds(100) is None


def test_many_that_fail_are_one_from_the_first_failure_on() -> None:
    health = Health()
    for second, key in enumerate("abcdef"):
        health.failed(key, 10 + second)
    assert health.outage_seconds(60) == 50


def test_any_answer_ends_it() -> None:
    health = Health()
    for key in "abc":
        health.failed(key, 0)
    health.worked()
    assert health.outage_seconds(1) is None
    health.failed("d", 5)
    assert health.outage_seconds(6) is None
