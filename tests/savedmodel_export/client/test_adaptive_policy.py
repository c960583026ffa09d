"""Where and when the policy moves; against a simulated server: tests/benchmarks."""

import doctest

import pytest

from savedmodel_export.client import adaptive_policy
from savedmodel_export.client.adaptive_policy import AdaptivePolicy


def serve(policy, start, gap, seconds, count):
    """Requests at even gaps to a server that takes them in turn; returns the end.

    `seconds`: dict, N -> service time.
    """
    waiting, free_at, now = [], start, start
    for i in range(count):
        now = start + i * gap
        while waiting and waiting[0][0] <= now:
            time, request = waiting.pop(0)
            policy.finish(request, time)
        request = policy.send(now)
        free_at = max(free_at, now) + seconds[request.num_mux]
        waiting.append((free_at, request))
    for time, request in waiting:
        policy.finish(request, time)
    return max(free_at, now)


SECONDS = {1: 0.1, 2: 0.075, 4: 0.05}


def test_the_example():
    assert doctest.testmod(adaptive_policy).failed == 0


def test_stays_at_the_first_n_without_load():
    policy = AdaptivePolicy(target_p95_ms=1000)
    serve(policy, 0.0, 0.2, SECONDS, 500)
    assert policy.moves == [] and policy.num_mux == 1


def test_rises_before_the_target_is_missed():
    policy = AdaptivePolicy(target_p95_ms=1000)
    serve(policy, 0.0, 0.06, SECONDS, 500)
    assert policy.num_mux == 4
    # 0.04 s of backlog per request: the target would be missed after 25 of them.
    assert policy.moves[0][0] < 24 * 0.06


def test_returns_after_a_quiet_period():
    policy = AdaptivePolicy(target_p95_ms=1000, quiet_seconds=5)
    end = serve(policy, 0.0, 0.06, SECONDS, 500)
    moves = len(policy.moves)
    serve(policy, end, 0.3, SECONDS, 100)
    assert policy.num_mux == 1
    assert all(time >= end for time, _ in policy.moves[moves:])


def test_takes_what_it_has_learned_the_second_time():
    policy = AdaptivePolicy(target_p95_ms=1000, quiet_seconds=5)
    end = serve(policy, 0.0, 0.06, SECONDS, 500)
    # A while at N = 2: 0.1 s per request are too many for N = 1.
    end = serve(policy, end, 0.1, SECONDS, 500)
    assert policy.num_mux == 2
    end = serve(policy, end + 10, 0.3, SECONDS, 100)
    assert policy.num_mux == 1
    policy.moves.clear()
    serve(policy, end, 0.06, SECONDS, 200)
    # 0.06 s per request are too many for N = 2.
    assert [n for _, n in policy.moves] == [4]


def test_an_answer_that_does_not_come_raises():
    policy = AdaptivePolicy(target_p95_ms=1000)
    policy.send(0.0)
    policy.send(0.5)
    assert policy.num_mux == 1
    policy.send(0.7)
    assert policy.num_mux == 2


def test_a_lowering_that_fails_is_tried_again_later_and_later():
    policy = AdaptivePolicy((1, 2), target_p95_ms=1000, quiet_seconds=10)
    # From some time on N = 1 is slow, which its average of before does not tell.
    for now in range(20, 600):
        request = policy.send(now)
        slow = request.num_mux == 1 and now > 60
        policy.finish(request, now + (0.65 if slow else 0.05))
    lowered = [time for time, num_mux in policy.moves if num_mux == 1]
    stays = [b - a for a, b in zip(lowered, lowered[1:], strict=False)]
    assert 10 < stays[0] < 25
    assert stays[1] > 1.5 * stays[0] and stays[2] > 1.5 * stays[1]


def test_one_slow_start_is_not_held_against_n_for_ever():
    policy = AdaptivePolicy(target_p95_ms=1000, quiet_seconds=5)
    policy.finish(policy.send(0.0), 3.0)
    assert policy.num_mux == 2
    serve(policy, 3.0, 0.2, SECONDS, 100)
    assert policy.num_mux == 1


def test_requests_that_failed():
    policy = AdaptivePolicy(target_p95_ms=1000)
    policy.drop(policy.send(0.0), 0.9)
    policy.finish(policy.send(1.0), 1.1)
    assert policy.num_mux == 1
    # Given up after more than the target.
    policy.drop(policy.send(2.0), 3.5)
    policy.send(3.5)
    assert policy.num_mux == 2


def test_with_bounded_concurrency_the_load_does_not_forbid_a_lower_n():
    # One request after the other: the server is always busy, at every N.
    for concurrency, num_mux in ((1, 1), (None, 2)):
        policy = AdaptivePolicy(
            target_p95_ms=1000, quiet_seconds=5, concurrency=concurrency
        )
        now = 0.0
        for i in range(300):
            request = policy.send(now)
            now += 0.9 if 50 <= i < 53 else SECONDS[request.num_mux]
            policy.finish(request, now)
        assert policy.moves[0][1] == 2
        assert policy.num_mux == num_mux


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_mux": ()}, "increasing positive integers"),
        ({"num_mux": (4, 2, 1)}, r"increasing positive integers.*\(4, 2, 1\)"),
        ({"num_mux": (0, 1)}, "increasing positive integers"),
        ({"target_p95_ms": 0}, "`target_p95_ms` must be positive"),
        ({"lower_at": 0.7}, "0 < lower_at <= raise_at <= 1"),
        ({"raise_at": 1.5}, "0 < lower_at <= raise_at <= 1"),
        ({"quiet_seconds": 0}, "`quiet_seconds` must be positive"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        AdaptivePolicy(**arguments)
