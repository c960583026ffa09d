"""The adaptive client against stand-ins for a client of a server."""

import threading
import time

import numpy as np
import pytest

from savedmodel_export.client.adaptive_client import AdaptiveClient, served_num_mux
from savedmodel_export.client.adaptive_policy import AdaptivePolicy
from savedmodel_export.client.answers import INPUT, RequestError
from savedmodel_export.client.classification import Classification


class Elastic:
    """A client of a server that works on one request at a time, at a speed of N."""

    def __init__(self):
        self._lock = threading.Lock()
        self.images = []

    def signatures(self):
        kinds = ("predict", "serve_bytes")
        return [f"{kind}_n{n}" for kind in kinds for n in (4, 1, 2)] + ["predict_n04"]

    def predict(self, inputs, signature):
        # Long enough for a queue of several threads.
        (rows,) = inputs.values()
        num_mux = int(signature.rpartition("_n")[2])
        with self._lock:
            time.sleep(0.004 * len(rows) / num_mux)
            self.images += [(num_mux, row) for row in rows]
        return {
            "classes": np.array([f"N = {num_mux}"] * len(rows)),
            "class_ids": np.zeros(len(rows), "int32"),
            "probabilities": np.ones((len(rows), 1), "float32"),
        }


class Plain:
    def signatures(self):
        return ["serving_default", "serve_bytes"]


def test_the_n_that_are_served():
    assert served_num_mux(Elastic()) == [1, 2, 4]
    assert served_num_mux(Elastic(), "serve_bytes") == [1, 2, 4]
    with pytest.raises(ValueError, match="no signature predict_n1.*elastic.*bytes"):
        served_num_mux(Plain())


def test_raises_n_behind_a_queue_and_keeps_the_order(tmp_path):
    for i in range(80):
        (tmp_path / f"{i:03}.png").write_bytes(b"%03d" % i)
    client = Elastic()
    # Eight requests of 16 ms in flight at N = 1, of 4 ms at N = 4.
    policy = AdaptivePolicy((1, 2, 4), target_p95_ms=60, concurrency=8)
    adaptive = AdaptiveClient(client, policy)
    paths = sorted(tmp_path.iterdir())
    batches = Classification(adaptive, batch_size=4, concurrency=8).rows(paths)
    rows = [row for batch in batches for row in batch]
    assert [row["file"] for row in rows] == [str(path) for path in paths]
    assert rows[0]["class"] == "N = 1" and rows[-1]["class"] == "N = 4"
    assert sorted(row for _, row in client.images) == [b"%03d" % i for i in range(80)]
    assert "20 at N" not in adaptive.summary() and "p95" in adaptive.summary()


def test_images_in_place_of_files():
    policy = AdaptivePolicy((2, 4), target_p95_ms=10_000)
    adaptive = AdaptiveClient(Elastic(), policy)
    outputs = adaptive.predict({"images": np.zeros((3, 2, 2, 3), "float32")})
    assert outputs["classes"].tolist() == ["N = 2"] * 3
    assert "1 at N = 2, 0 at N = 4; N moved 0 times" in adaptive.summary()
    with pytest.raises(ValueError, match="have a twin for each N.*serve_groups"):
        adaptive.predict({"images": np.zeros((1, 2, 2, 3))}, "serve_groups")


class Recorded:
    """A client that answers or fails as told; a clock that it moves."""

    def __init__(self):
        self.now, self.asked, self.seconds, self.error = 0.0, [], 0.1, None

    def clock(self):
        return self.now

    def predict(self, inputs, signature):
        self.asked.append(signature)
        self.now += self.seconds
        if self.error:
            raise self.error
        return {}

    def close(self):
        self.asked.append("closed")


def test_a_failed_request_is_out_of_flight():
    client = Recorded()
    policy = AdaptivePolicy(target_p95_ms=1000)
    adaptive = AdaptiveClient(client, policy, client.clock)
    client.error = RequestError("corrupt", INPUT)
    for _ in range(50):
        with pytest.raises(RequestError, match="corrupt"):
            adaptive.predict({"image_bytes": [b""]}, "serve_bytes")
    client.error = None
    adaptive.predict({"image_bytes": [b""]}, "serve_bytes")
    assert set(client.asked) == {"serve_bytes_n1"}
    assert "answers: 1 at N = 1" in adaptive.summary()
    client.seconds, client.error = 5.0, RequestError("did not answer in 5 s")
    with pytest.raises(RequestError, match="did not answer"):
        adaptive.predict({"image_bytes": [b""]}, "serve_bytes")
    client.error = None
    adaptive.predict({"image_bytes": [b""]}, "serve_bytes")
    assert client.asked[-1] == "serve_bytes_n2"
    adaptive.close()
    assert client.asked[-1] == "closed"
