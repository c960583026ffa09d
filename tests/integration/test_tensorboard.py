import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest


@pytest.fixture
def tensorboard(tiny_run):
    """The address of a TensorBoard server on the workdir."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    workdir, _ = tiny_run
    command = [sys.executable, "-m", "tensorboard.main", "--host=127.0.0.1"]
    process = subprocess.Popen(
        [*command, f"--port={port}", f"--logdir={workdir}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    yield f"http://127.0.0.1:{port}/data/plugin"
    process.terminate()
    process.wait()


@pytest.mark.large
def test_scalars_are_served(tensorboard, tiny_run):
    deadline = time.monotonic() + 60

    def get(path):
        while True:
            try:
                with urllib.request.urlopen(
                    f"{tensorboard}/scalars/{path}"
                ) as response:
                    if content := json.load(response):
                        return content
            except urllib.error.URLError:
                pass
            assert time.monotonic() < deadline, "TensorBoard did not answer"
            time.sleep(0.2)

    runs = get("tags")
    by_end = {run.rsplit("/", 1)[-1]: (run, tags) for run, tags in runs.items()}
    assert set(by_end) == {"train", "validation"}
    run, tags = by_end["validation"]
    assert {"epoch_loss", "epoch_accuracy"} <= set(tags)
    query = urllib.parse.urlencode({"run": run, "tag": "epoch_accuracy"})
    served = [value for _, _, value in get(f"scalars?{query}")]
    history = tiny_run[1]["history"]
    assert served == pytest.approx(history["val_accuracy"], abs=1e-6)
    # The Graphs tab fails on a graph as Keras writes it: there is none.
    with urllib.request.urlopen(f"{tensorboard}/graphs/info") as response:
        assert json.load(response) == {}
