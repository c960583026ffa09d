import pytest

from savedmodel_export.client.queue_estimate import QueueEstimate, percentile


def answer_each(queue, num_mux, seconds, count, start=0.0, num_images=8):
    """Requests one after the other, without a queue; returns the time after them."""
    for i in range(count):
        request = queue.send(start + i * seconds, num_mux, num_images)
        queue.finish(request, start + (i + 1) * seconds)
    return start + count * seconds


def test_percentile():
    assert percentile([]) == 0.0
    assert percentile([3.0]) == 3.0
    assert percentile(range(1, 101)) == 95


def test_service_times_are_learned_behind_a_queue():
    queue = QueueEstimate(memory=100.0)
    assert queue.service(1) == 0.0
    requests = [queue.send(0.0, 1, 4) for _ in range(5)]
    for i, request in enumerate(requests):
        queue.finish(request, 2.0 * (i + 1))
    # Ten seconds of latency at the end, two of them service of four images.
    assert requests[-1].latency(99.0) == 10.0
    assert queue.service(1) == pytest.approx(0.5)
    assert queue.knows(1) and not queue.knows(2)
    assert queue.service(2) == queue.service(1)


def test_the_place_in_the_queue_foretells_the_latency():
    queue = QueueEstimate(memory=100.0)
    now = answer_each(queue, 1, 1.0, 5)
    queue.send(now, 1, 8)
    queue.send(now, 1, 4)
    last = queue.send(now + 0.25, 1, 8)
    # A quarter of the first has been served.
    assert last.expected == pytest.approx(0.75 + 0.5 + 1.0)
    assert last.latency(now + 0.5) == last.expected
    # An answer that is late cannot come earlier than now.
    assert last.latency(now + 10.25) == 10.0


def test_a_slower_server_is_slower_at_every_n():
    queue = QueueEstimate(memory=1000.0)
    now = answer_each(queue, 1, 1.0, 50)
    now = answer_each(queue, 4, 0.5, 50, now)
    assert queue.service(1) * 8 == pytest.approx(1.0)
    # A slow moment; the ratio stays what it was.
    now = answer_each(queue, 4, 1.5, 25, now)
    assert queue.service(4) * 8 > 1.2
    assert queue.service(1) == pytest.approx(2 * queue.service(4))


def test_the_ratio_is_that_of_requests_that_did_not_wait():
    queue = QueueEstimate(memory=1000.0)
    now = answer_each(queue, 1, 1.0, 20)
    now = answer_each(queue, 4, 0.5, 20, now)
    # Other clients' requests make most of them wait; the best ones do not.
    for i in range(20):
        now = answer_each(queue, 4, 0.5 if i % 5 == 0 else 2.0, 1, now)
    assert queue.service(1) == pytest.approx(2 * queue.service(4))


def test_without_such_requests_the_ratio_is_that_of_the_queue():
    queue = QueueEstimate(memory=1000.0)
    now = answer_each(queue, 1, 1.0, 20)
    requests = [queue.send(now, 1, 8)] + [queue.send(now, 2, 8) for _ in range(10)]
    queue.finish(requests[0], now + 1.0)
    for i, request in enumerate(requests[1:]):
        queue.finish(request, now + 1.0 + 0.75 * (i + 1))
    now = answer_each(queue, 4, 0.5, 20, now + 10.0)
    assert queue.service(2) * 8 == pytest.approx(0.75)


def test_rate():
    queue = QueueEstimate(memory=10.0)
    assert queue.rate(0.0, 10.0) == 0.0
    answer_each(queue, 1, 1.0, 20, num_images=3)
    assert queue.rate(20.0, 10.0) == pytest.approx(3.0)
    assert queue.rate(20.0, 5.0) == pytest.approx(3.0)
    assert queue.rate(25.0, 10.0) == pytest.approx(1.5)
    assert queue.rate(100.0, 10.0) == 0.0


@pytest.mark.parametrize(
    ("gap", "expected"), [(100.0, 1.0), (2.0, 3.3), (1.25, 7.9), (1.0, float("inf"))]
)
def test_the_steady_percentile(gap, expected):
    queue = QueueEstimate(memory=1000.0)
    assert queue.steady_p95(1, 0.0, 1000.0) == 0.0
    for i in range(1000):
        request = queue.send(i * gap, 1, 8)
        queue.finish(request, i * gap + 1.0)
    # (gap 2: utilisation 0.5, gap 1.25: 0.8; service 1)
    predicted = queue.steady_p95(1, 1000 * gap, 1000.0)
    assert predicted == pytest.approx(expected, rel=0.05)


def test_concurrency_bounds_the_latency():
    queue = QueueEstimate(memory=1000.0, concurrency=3)
    now = answer_each(queue, 1, 1.0, 20)
    assert queue.steady_p95(1, now, 20.0) == pytest.approx(3.0)
