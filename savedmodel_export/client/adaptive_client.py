"""A client that lets a policy pick the N of an elastic model."""

import collections
import re
import threading
import time

from savedmodel_export.client.queue_estimate import percentile

# What an exported elastic model has for each of its N, beside the usual signatures.
SIGNATURES = {"serving_default": "predict_n{}", "serve_bytes": "serve_bytes_n{}"}


class AdaptiveClient:
    """Sends each request to the N that a policy picks. Safe for threads.

    It can stand wherever a `RestClient` or `GrpcClient` is asked for predictions.

    Args:
        client: `RestClient` or `GrpcClient` of an elastic model.
        policy: `AdaptivePolicy`.
        clock: function -> seconds that never go back.
    """

    def __init__(self, client, policy, clock=time.monotonic):
        self._client, self._policy, self._clock = client, policy, clock
        self._lock = threading.Lock()
        self._requests = collections.Counter()
        self._latencies = collections.deque(maxlen=10_000)

    def predict(self, inputs, signature="serving_default"):
        """Runs the twin of a signature at the picked N; see `RestClient.predict`.

        Args:
            inputs: dict, name -> one row per image.
            signature: `"serving_default"` or `"serve_bytes"`.
        """
        if signature not in SIGNATURES:
            raise ValueError(
                f"Only {' and '.join(SIGNATURES)} have a twin for each N. "
                f"Received: signature={signature!r}"
            )
        num_images = max(1, len(next(iter(inputs.values()))))
        # The clock is read under the lock, so that the policy's time never goes back.
        with self._lock:
            request = self._policy.send(self._clock(), num_images)
        try:
            outputs = self._client.predict(
                inputs, SIGNATURES[signature].format(request.num_mux)
            )
        except BaseException:
            with self._lock:
                self._policy.drop(request, self._clock())
            raise
        with self._lock:
            self._policy.finish(request, self._clock())
            self._requests[request.num_mux] += 1
            self._latencies.append(request.finished - request.sent)
        return outputs

    def summary(self):
        """Returns a line: answers per N, moves, and the latency's 95th percentile."""
        with self._lock:
            shares = ", ".join(
                f"{self._requests[n]} at N = {n}" for n in self._policy.choices
            )
            return (
                f"answers: {shares}; N moved {len(self._policy.moves)} times; "
                f"p95 {percentile(self._latencies) * 1000:.0f} ms"
            )

    def close(self):
        """Closes the connection."""
        self._client.close()


def served_num_mux(client, signature="serving_default"):
    """Returns the sorted N for which a model has a twin of a signature.

    Args:
        client: `RestClient` or `GrpcClient`.
        signature: `"serving_default"` or `"serve_bytes"`.

    Raises:
        ValueError: if it has none.
        RequestError: if the server does not tell its signatures.
    """
    names = client.signatures()
    pattern = re.compile(SIGNATURES[signature].format(r"([1-9]\d*)"))
    found = sorted(int(m[1]) for m in map(pattern.fullmatch, names) if m)
    if not found:
        raise ValueError(
            f"The model has no signature {SIGNATURES[signature].format(1)} or alike: "
            "only the export of an elastic model (num_mux=1,2,4) has one per N. It has "
            f"{', '.join(sorted(names))}."
        )
    return found
