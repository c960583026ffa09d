"""Picks the N of an elastic model that the next request asks for."""

import collections

from savedmodel_export.client.queue_estimate import QueueEstimate, percentile

# The quiet period grows to at most this many times its first length.
LONGEST_BACK_OFF = 8


class AdaptivePolicy:
    """Picks N so that the 95th percentile of the latency stays below a target.

    A feedback controller with two thresholds:

    - It raises N when the recent 95th percentile exceeds `raise_at` of the target,
      which is before the target is missed. Requests in flight count with the latency
      that their place in the queue predicts.
    - It lowers N after a quiet period, to the lowest N at which the load of that
      period would keep the 95th percentile below `lower_at` of the target.

    If it has to take back a lowering soon, it doubles the next quiet period.

    The policy has no clock: `now` is any time in seconds that never goes back. It is
    not safe for threads; `AdaptiveClient` locks it.

    Args:
        num_mux: increasing sequence of int. The N that the model serves; it starts
            with the first, the most accurate one.
        target_p95_ms: float. The 95th percentile of the latency to stay below, in
            milliseconds.
        raise_at: float. Share of the target above which N rises.
        lower_at: float. Share of the target that a lower N must keep; at most
            `raise_at`.
        quiet_seconds: float or `None`. How long N stays at least before it falls, and
            the time over which the load is measured. Ten times the target by default.
        window: int. Number of requests of which the recent 95th percentile is taken.
        concurrency: int or `None`. The most requests the caller keeps in flight, if it
            waits for answers before it sends more: the queue is then no longer.

    Example:
        >>> policy = AdaptivePolicy((1, 2, 4), target_p95_ms=200)
        >>> request = policy.send(now=0.0, num_images=8)
        >>> request.num_mux
        1
        >>> policy.finish(request, now=0.05)
    """

    def __init__(
        self,
        num_mux=(1, 2, 4),
        target_p95_ms=200.0,
        raise_at=0.6,
        lower_at=0.5,
        quiet_seconds=None,
        window=40,
        concurrency=None,
    ):
        choices = tuple(num_mux)
        if not choices or choices != tuple(sorted({n for n in choices if n >= 1})):
            raise ValueError(
                "`num_mux` must be increasing positive integers. Received: "
                f"num_mux={num_mux!r}"
            )
        if not target_p95_ms > 0:
            raise ValueError(
                f"`target_p95_ms` must be positive. Received: {target_p95_ms!r}"
            )
        if quiet_seconds is None:
            quiet_seconds = 10 * target_p95_ms / 1000
        if not quiet_seconds > 0:
            raise ValueError(
                f"`quiet_seconds` must be positive. Received: {quiet_seconds!r}"
            )
        if not 0 < lower_at <= raise_at <= 1:
            raise ValueError(
                "Expected 0 < lower_at <= raise_at <= 1. Received: "
                f"lower_at={lower_at!r}, raise_at={raise_at!r}"
            )
        self.choices = choices
        self.num_mux = choices[0]
        self.moves = []  # (time, the new N)
        self._target = target_p95_ms / 1000
        self._raise_at, self._lower_at = raise_at, lower_at
        self._least_quiet = quiet_seconds
        self._quiet = self._least_quiet
        self._queue = QueueEstimate(self._least_quiet, concurrency)
        # Requests since the last move. Earlier ones were answered at another N.
        self._recent = collections.deque(maxlen=window)
        self._answered = True
        self._last_move = self._last_lowering = None

    def send(self, now, num_images=1):
        """Returns the `Request` to send now; its `num_mux` is the N to ask for."""
        self._decide(now)
        request = self._queue.send(now, self.num_mux, num_images)
        self._recent.append(request)
        return request

    def finish(self, request, now):
        """Takes note that the answer has come."""
        self._queue.finish(request, now)
        self._answered = self._answered or request in self._recent
        self._decide(now)

    def drop(self, request, now):
        """Takes note that the request failed.

        Its latency tells nothing, unless it has missed the target before it failed.
        """
        self._queue.drop(request, now)
        request.finished = now
        if request in self._recent and request.latency(now) <= self._target:
            self._recent.remove(request)

    def _decide(self, now):
        if self._last_move is None:
            self._last_move = now
        while self._recent and self._recent[0].sent < now - self._least_quiet:
            self._recent.popleft()
        recent = percentile(request.latency(now) for request in self._recent)
        if recent > self._raise_at * self._target:
            # A move shows its effect in its first answer: wait for that, unless the
            # target is missed.
            if self._answered or recent > self._target:
                self._raise(now)
        elif now - self._last_move >= self._quiet:
            self._lower(now, recent)

    def _raise(self, now):
        higher = [n for n in self.choices if n > self.num_mux]
        if not higher:
            return
        limit = self._raise_at * self._target
        # Only the load of the last moments counts: it is what has to be carried.
        fitting = (n for n in higher if self._fits(n, now, self._target, limit))
        lowered = self._last_lowering
        if lowered is not None and now - lowered < 2 * self._quiet:
            self._quiet = min(2 * self._quiet, LONGEST_BACK_OFF * self._least_quiet)
        else:
            self._quiet = self._least_quiet
        self._move(now, next(fitting, higher[-1]))

    def _lower(self, now, recent):
        limit = self._lower_at * self._target
        present = self._queue.service(self.num_mux)
        for n in self.choices[: self.choices.index(self.num_mux)]:
            # The prediction leaves out other clients' load; `recent` includes it.
            known = self._queue.knows(n) and present > 0
            slower = self._queue.service(n) / present if known else 1.0
            if recent * slower <= limit and self._fits(
                n, now, self._least_quiet, limit
            ):
                self._last_lowering = now
                self._move(now, n)
                return

    def _fits(self, num_mux, now, seconds, limit):
        # An N of unknown speed has to be tried.
        return not self._queue.knows(num_mux) or (
            self._queue.steady_p95(num_mux, now, seconds) <= limit
        )

    def _move(self, now, num_mux):
        self.num_mux = num_mux
        self.moves.append((now, num_mux))
        self._last_move, self._answered = now, False
        self._recent.clear()
