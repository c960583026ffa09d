"""A server with a queue, simulated request by request; no time passes."""

import collections
import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Server:
    """Answers requests in turn, one at a time.

    Attributes:
        images_per_second: dict, N -> images per second.
        batch_size: int. Images per request.
        spread: float. Service times vary uniformly by this share.
    """

    images_per_second: dict
    batch_size: int = 8
    spread: float = 0.0

    def seconds(self, num_mux):
        """Mean service time of a request."""
        return self.batch_size / self.images_per_second[num_mux]


def poisson_arrivals(rng, phases):
    """Times of random arrivals.

    Args:
        rng: `np.random.Generator`.
        phases: sequence of (seconds, requests per second).

    Returns:
        Increasing array of times in seconds.
    """
    parts, start = [], 0.0
    for seconds, rate in phases:
        times = rng.uniform(start, start + seconds, rng.poisson(rate * seconds))
        parts.append(np.sort(times))
        start += seconds
    return np.concatenate(parts)


def simulate(server, arrivals, policies, rng):
    """Serves the arrivals.

    Args:
        server: `Server`.
        arrivals: increasing times in seconds.
        policies: list of `AdaptivePolicy`, one per client; each request belongs to
            one of them by chance.
        rng: `np.random.Generator`.

    Returns:
        dict of arrays, one element per request: `sent`, `latency` (seconds) and
        `num_mux`.
    """
    in_flight, requests, free_at = collections.deque(), [], 0.0

    def answer(until):
        while in_flight and in_flight[0][0] <= until:
            time, policy, request = in_flight.popleft()
            policy.finish(request, time)

    for now in map(float, arrivals):
        answer(now)
        policy = policies[rng.integers(len(policies))]
        request = policy.send(now, server.batch_size)
        noise = 1 + server.spread * rng.uniform(-1, 1)
        free_at = max(free_at, now) + server.seconds(request.num_mux) * noise
        in_flight.append((free_at, policy, request))
        requests.append(request)
    answer(np.inf)
    return {
        "sent": np.array([request.sent for request in requests]),
        "latency": np.array([request.finished - request.sent for request in requests]),
        "num_mux": np.array([request.num_mux for request in requests]),
    }
