import pytest

from savedmodel_export.client.retry import RequestError, Unavailable, with_retries


def failing(times, wait=None):
    """A call that fails some times, then answers."""
    failures = iter(range(times))

    def call():
        for _ in failures:
            raise Unavailable("busy", wait)
        return "answer"

    return call


def test_waits_grow():
    waits = []
    assert with_retries(failing(10), 10, waits.append) == "answer"
    assert len(waits) == 10
    for attempt, wait in enumerate(waits):
        longest = min(10.0, 0.1 * 2**attempt)
        assert longest / 2 <= wait <= longest


def test_the_servers_wish_is_kept():
    waits = []
    with_retries(failing(1, wait=7.0), 1, waits.append)
    assert waits == [7.0]


def test_gives_up():
    waits = []
    with pytest.raises(RequestError, match="No answer after 3 attempts: busy"):
        with_retries(failing(3), 2, waits.append)
    assert len(waits) == 2
