from pipeline.api.health import Health, Outage


def test_one_image_that_fails_is_no_outage() -> None:
    health = Health()
    for second in range(100):
        health.failed("a", second)
        health.failed("b", second)
    assert health.outage(100) is None


def test_many_that_fail_are_one_from_the_first_failure_on() -> None:
    health = Health()
    for second, key in enumerate("abcdefghi"):
        health.failed(key, 10 + second)
    assert health.outage(60) == Outage(50, certain=False)
    health.failed("j", 30)
    assert health.outage(60) == Outage(50, certain=True)


def test_any_answer_ends_it() -> None:
    health = Health()
    for key in "abc":
        health.failed(key, 0)
    health.worked()
    assert health.outage(1) is None
    for key in "abc":
        health.failed(key, 5)
    assert health.outage(6) == Outage(1, certain=False)
