"""The adaptive client against stand-ins for a server with one signature per N."""

import subprocess
import sys
import threading
import time
import types

import numpy as np
import pytest

from savedmodel_export.client.__main__ import make_adaptive
from savedmodel_export.client.adaptive_client import AdaptiveClient, served_num_mux
from savedmodel_export.client.adaptive_policy import AdaptivePolicy
from savedmodel_export.client.grpc_client import GrpcClient
from savedmodel_export.client.image_files import classify_files
from savedmodel_export.client.rest_client import RestClient
from savedmodel_export.client.retry import RequestError
from tests.savedmodel_export.batching_server import Servicer, start_grpc
from tests.savedmodel_export.rest_server import start_rest


class Elastic:
    """What a `Servicer` serves: fake signatures; the class tells which N was asked."""

    signatures = [
        "serving_default",
        *(f"{name}_n{n}" for name in ("predict", "serve_bytes") for n in (1, 2, 4)),
    ]

    def __init__(self):
        self._lock = threading.Lock()
        self.images = []

    def answer(self, name, rows):
        # One at a time, at a speed of N; long enough for a queue of several threads.
        num_mux = int(name.rpartition("_n")[2])
        with self._lock:
            time.sleep(0.004 * len(rows) / num_mux)
            self.images += [(num_mux, row) for row in rows]
        return {
            "classes": np.array([f"N = {num_mux}"] * len(rows)),
            "class_ids": np.zeros(len(rows), "int32"),
            "probabilities": np.ones((len(rows), 1), "float32"),
        }


class Plain(Elastic):
    signatures = ["serving_default", "serve_bytes"]


@pytest.fixture
def start():
    """Function: served -> REST client, gRPC client, REST address."""
    ends = []

    def start(served):
        servicer = Servicer(served, [1, 2, 4, 8], timeout=0.0)
        grpc_server, grpc_address = start_grpc(servicer)
        rest_server, rest_address = start_rest(servicer)
        clients = RestClient(rest_address, "m"), GrpcClient(grpc_address, "m")
        ends.extend([*(c.close for c in clients), rest_server.shutdown])
        ends.append(lambda: grpc_server.stop(None))
        return *clients, rest_address

    yield start
    for end in ends:
        end()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    for i in range(80):
        (tmp_path / "images" / f"{i:03}.png").write_bytes(b"%03d" % i)
    return tmp_path / "images"


def test_the_n_that_are_served(start):
    for client in start(Elastic())[:2]:
        assert served_num_mux(client) == [1, 2, 4]
        assert served_num_mux(client, "serve_bytes") == [1, 2, 4]
    for client in start(Plain())[:2]:
        with pytest.raises(ValueError, match="no signature predict_n1.*elastic.*bytes"):
            served_num_mux(client)


def test_raises_n_behind_a_queue_and_keeps_the_order(start, folder):
    served = Elastic()
    client, _, _ = start(served)
    # Eight requests of 16 ms in flight at N = 1, of 4 ms at N = 4.
    policy = AdaptivePolicy((1, 2, 4), target_p95_ms=60, concurrency=8)
    adaptive = AdaptiveClient(client, policy)
    paths = sorted(folder.iterdir())
    rows = list(classify_files(adaptive, paths, batch_size=4, concurrency=8))
    assert [row["file"] for row in rows] == [str(path) for path in paths]
    assert rows[0]["class"] == "N = 1" and rows[-1]["class"] == "N = 4"
    assert sorted(row for _, row in served.images) == [b"%03d" % i for i in range(80)]
    assert "20 at N" not in adaptive.summary() and "p95" in adaptive.summary()


def test_images_in_place_of_files(start):
    served = Elastic()
    for client in start(served)[:2]:
        policy = AdaptivePolicy((2, 4), target_p95_ms=10_000)
        adaptive = AdaptiveClient(client, policy)
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
    client.error = RequestError("corrupt", invalid_argument=True)
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


def flag_values(**changed):
    values = {"adaptive": True, "target_p95_ms": 100.0, "num_mux": None}
    return types.SimpleNamespace(**{**values, "concurrency": 8, **changed})


def command(folder, address, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "savedmodel_export.client", str(folder)]
        + ["--model=m", f"--rest={address}", "--retries=0", *arguments],
        capture_output=True,
        text=True,
    )


def test_the_command(start, folder):
    _, _, address = start(Elastic())
    result = command(
        *(folder, address, "--adaptive", "--target_p95_ms=100", "--concurrency=8")
    )
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) == 80
    assert "answers:" in result.stderr and "at N = 4" in result.stderr
    chosen = ("--adaptive", "--target_p95_ms=5000", "--num_mux=2")
    result = command(folder, address, *chosen)
    assert "answers: 10 at N = 2" in result.stderr

    result = command(folder, address, "--target_p95_ms=100")
    assert result.returncode == 1
    assert result.stderr == "error: --target_p95_ms needs --adaptive.\n"


@pytest.mark.parametrize(
    ("served", "flags", "message"),
    [
        (Elastic, {"adaptive": False}, "--target_p95_ms needs --adaptive"),
        (
            Elastic,
            {"adaptive": False, "target_p95_ms": None, "num_mux": ["1"]},
            "--num_mux needs --adaptive",
        ),
        (Elastic, {"target_p95_ms": None}, "--adaptive needs --target_p95_ms"),
        (Elastic, {"num_mux": ["1", "8"]}, r"the model serves N = \[1, 2, 4\]"),
        (Elastic, {"num_mux": ["a"]}, "Expected --num_mux=1,2,4. Received: a"),
        (Elastic, {"num_mux": ["4", "1"]}, "must be increasing"),
        (Plain, {}, "no signature serve_bytes_n1"),
        (None, {}, "does not tell its signatures.*--num_mux=1,2,4"),
    ],
)
def test_errors_of_the_flags(start, served, flags, message):
    client = RestClient("http://localhost:1", "m", retries=0)
    if served:
        client, _, _ = start(served())
    with pytest.raises(ValueError, match=message):
        make_adaptive(client, flag_values(**flags))


def test_the_flags():
    nobody = RestClient("http://localhost:1", "m", retries=0)
    plain = flag_values(adaptive=False, target_p95_ms=None)
    assert make_adaptive(nobody, plain) is nobody
    # Where the server does not tell, the flag is believed.
    adaptive = make_adaptive(nobody, flag_values(num_mux=["2", "4"]))
    assert "0 at N = 2, 0 at N = 4" in adaptive.summary()
