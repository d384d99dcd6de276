from pipeline.api.pool.health import Health, Outage


def test_one_image_that_fails_is_no_outage() -> None:
    health = Health()
    for second in range(100):
        health.failed("a", second, second)
        health.failed("b", second, second)
    assert health.outage(100) is None


def test_many_that_fail_are_one_from_the_first_failure_on() -> None:
    health = Health()
    for second, key in enumerate("abcdefghi"):
        health.failed(key, 10 + second, 10 + second)
    assert health.outage(60) == Outage(50, certain=False)
    health.failed("j", 30, 30)
    assert health.outage(60) == Outage(50, certain=True)


def test_any_answer_ends_it() -> None:
    health = Health()
    for key in "abc":
        health.failed(key, 0, 0)
    assert not health.worked(0), "it was not even resting"
    assert health.outage(1) is None
    for key in "abc":
        health.failed(key, 5, 5)
    assert health.outage(6) == Outage(1, certain=False)


def test_a_resting_endpoint_gets_nothing_and_then_one_request_at_a_time() -> None:
    health = Health()
    assert (health.wait_seconds(0), health.asked()) == (0, False)
    health.rest(5, None, now=10)
    health.rest(2, None, now=11)
    assert health.wait_seconds(12) == 3
    assert health.wait_seconds(15) == 0
    assert health.asked(), "the probe"
    assert health.wait_seconds(16) is None, "nobody else until it is answered"
    health.probed()
    health.rest(4, None, now=17)
    assert health.wait_seconds(17) == 4
    health.worked(asked_at=9)
    assert health.wait_seconds(17) == 0, "any answer says that it is there"
    assert not health.asked()


def test_a_hiccup_is_not_worth_telling_and_the_rest_is_told_once() -> None:
    health = Health()
    health.rest(0.1, None, now=10)
    assert not health.is_worth_telling(10)
    assert not health.worked(10), "nobody knows that it was away"
    health.rest(0.1, None, now=20)
    assert [health.is_worth_telling(now) for now in (24, 25, 26)] == [False, True, False]
    assert health.worked(30)
    health.rest(60, "The key is refused.", now=40)
    assert health.is_worth_telling(40)


def test_out_of_a_hopeless_state_only_a_later_request_leads() -> None:
    health = Health()
    health.rest(60, "The key is refused.", now=10)
    assert not health.worked(asked_at=9)
    assert health.hopeless
    health.worked(asked_at=70)
    assert health.hopeless is None


def test_how_long_a_trouble_lasts() -> None:
    health = Health()
    assert [health.lasting("unreachable", now) for now in (5, 8, 11)] == [0, 3, 6]
    assert health.lasting("rate_limited", 12) == 0
    health.worked(12)
    assert health.lasting("rate_limited", 13) == 0


def test_what_was_sent_before_something_that_was_answered_says_nothing_new() -> None:
    health = Health()
    health.worked(asked_at=100)
    for key in "abc":
        health.failed(key, asked_at=90, now=210)
    assert health.outage(210) is None
