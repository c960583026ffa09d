"""Estimates a server's queue: how long requests wait and how long they are worked on.

The estimate uses nothing but the times at which this client's requests were sent and
answered.
"""

import collections
import dataclasses
import math

QUANTILE = 0.95
# The mean service time goes back over about `MEMORY` requests. It counts as known
# after `FEW`.
MEMORY, FEW = 20, 3
# For each N, so many latencies of requests that met no queue are kept.
ALONE = 40


@dataclasses.dataclass(eq=False)
class Request:
    """One request, from when it is sent.

    Attributes:
        sent: float. Time in seconds.
        num_mux: int. The N whose signature is asked.
        num_images: int.
        alone: bool. Whether nothing else of this client was in flight then.
        expected: float. Seconds that it should take, by what was known then.
        finished: float or `None`. Time in seconds.
    """

    sent: float
    num_mux: int
    num_images: int
    alone: bool = True
    expected: float = 0.0
    finished: float | None = None

    def latency(self, now):
        """Seconds it took; while it is in flight, the least it will take."""
        if self.finished is not None:
            return self.finished - self.sent
        return max(self.expected, now - self.sent)


class QueueEstimate:
    """Learns service times and load, and predicts latencies.

    The model is a server that takes one request after the other. It starts a request
    when the request is sent, or when the one before it is answered, whichever is
    later. From the start to the answer is the service time. A server with several
    workers or other clients fits the model, too: the service time is then what this
    client's requests take at the share of the server that they get.

    Args:
        memory: float. Seconds for which `rate` can be asked.
        concurrency: int or `None`. The most requests in flight, if the caller waits
            for answers before it sends more.
    """

    def __init__(self, memory, concurrency=None):
        self._memory, self._concurrency = memory, concurrency
        self._in_flight = {}  # An ordered set.
        self._waiting = collections.Counter()  # N -> images in flight
        self._service = {}  # N -> (seconds per image, requests)
        self._alone = {}  # N -> latencies per image with nothing else in flight
        self._present = None  # N of the last answer
        self._sent = collections.deque()  # (time, images)
        self._last_answer = self._first_sent = None

    def send(self, now, num_mux, num_images):
        """Returns a new `Request`, in flight from now on."""
        request = Request(now, num_mux, num_images, alone=not self._in_flight)
        self._in_flight[request] = None
        self._waiting[num_mux] += num_images
        request.expected = self._backlog(now)
        self._sent.append((now, num_images))
        self._first_sent = now if self._first_sent is None else self._first_sent
        return request

    def finish(self, request, now):
        """Learns from an answer."""
        started = self._end(request, now)
        request.finished = now
        sample = (now - started) / request.num_images
        mean, count = self._service.get(request.num_mux, (0.0, 0))
        count += 1
        mean += (sample - mean) / min(count, MEMORY)
        self._service[request.num_mux] = (mean, count)
        if request.alone:
            latencies = self._alone.setdefault(
                request.num_mux, collections.deque(maxlen=ALONE)
            )
            latencies.append((now - request.sent) / request.num_images)
        self._present = request.num_mux

    def drop(self, request, now):
        """Takes a refused request out of flight and learns nothing from it."""
        self._end(request, now)

    def knows(self, num_mux):
        """Whether enough answers at this N have come to tell its service time."""
        return self._service.get(num_mux, (0.0, 0))[1] >= FEW

    def service(self, num_mux):
        """Seconds of service per image at an N, by what is known.

        For another N than the present one it is the present one's service time times
        a ratio. The ratio stays when other clients' load or the machine's state change.
        """
        if self._present is None:
            return 0.0
        # An N that was not asked yet takes no more than a lower one.
        known = max((n for n in self._service if n <= num_mux), default=self._present)
        return self._service[self._present][0] * self._ratio(known)

    def _ratio(self, num_mux):
        """Service time over that of the present N."""
        pair = (num_mux, self._present)
        if all(len(self._alone.get(n, ())) >= FEW for n in pair):
            # The fast ones have waited for nobody. The very fastest one is noise.
            one, other = (sorted(self._alone[n]) for n in pair)
            return one[len(one) // 10] / max(other[len(other) // 10], 1e-12)
        return self._service[num_mux][0] / max(self._service[self._present][0], 1e-12)

    def rate(self, now, seconds):
        """Images per second that were sent in the last `seconds`."""
        while self._sent and self._sent[0][0] < now - self._memory:
            self._sent.popleft()
        images = sum(images for sent, images in self._sent if sent >= now - seconds)
        return images / max(min(seconds, now - (self._first_sent or 0.0)), 1e-9)

    def steady_p95(self, num_mux, now, seconds):
        """95th percentile of the latency that the load of the last `seconds` will have.

        For a queue with random arrivals and constant service times s at utilisation
        u, the wait exceeds t with a probability of about u exp(-2 (1 - u) t / s).
        """
        if not self._sent:
            return 0.0
        per_request = sum(images for _, images in self._sent) / len(self._sent)
        service = self.service(num_mux) * per_request
        utilisation = self.service(num_mux) * self.rate(now, seconds)
        predicted = math.inf
        if utilisation < 1:
            excess = max(0.0, math.log(max(utilisation, 1e-9) / (1 - QUANTILE)))
            predicted = service * (1 + excess / (2 * (1 - utilisation)))
        if self._concurrency:
            predicted = min(predicted, self._concurrency * service)
        return predicted

    def _backlog(self, now):
        """Seconds until all that is in flight has come back."""
        work = sum(self.service(n) * images for n, images in self._waiting.items())
        first = next(iter(self._in_flight))
        own = self.service(first.num_mux) * first.num_images
        return work - min(own, now - self._started(first))

    def _started(self, request):
        """When the server began to work on the request that is next to come back."""
        if self._last_answer is None:
            return request.sent
        return max(request.sent, self._last_answer)

    def _end(self, request, now):
        started = self._started(request)
        del self._in_flight[request]
        self._waiting[request.num_mux] -= request.num_images
        self._last_answer = now
        return started


def percentile(values):
    """The 95th percentile of values, by nearest rank; 0 of none."""
    ordered = sorted(values)
    return ordered[math.ceil(QUANTILE * len(ordered)) - 1] if ordered else 0.0
