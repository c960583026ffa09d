import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest

STATUSES = ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"]


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
    # One run per workdir: everything of it stands together.
    ((run, tags),) = runs.items()
    groups = {tag.split("/")[0] for tag in tags}
    assert groups == {"loss", "accuracy", "slots", "speed", "optimizer"}
    _, results = tiny_run

    def values(tag):
        query = urllib.parse.urlencode({"run": run, "tag": tag})
        return [value for _, _, value in get(f"scalars?{query}")]

    validated = values("accuracy/validation")
    assert validated == pytest.approx(results["history"]["val_accuracy"], abs=1e-6)
    assert values("accuracy/test")[-1] == pytest.approx(results["test_accuracy"])
    # The charts of training and validation.
    with urllib.request.urlopen(f"{tensorboard}/custom_scalars/layout") as response:
        titles = [row["title"] for row in json.load(response)["category"]]
    assert titles == ["quality", "course"]
    # What the HParams tab asks for: the settings of each run beside its metrics.
    asked = {"startIndex": 0, "sliceSize": 10, "allowedStatuses": STATUSES}
    request = urllib.request.Request(
        f"{tensorboard}/hparams/session_groups",
        json.dumps(asked).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as response:
        (group,) = json.load(response)["sessionGroups"]
    assert group["hparams"]["num_mux"] == "2"
    measured = {each["name"]["tag"]: each["value"] for each in group["metricValues"]}
    assert measured["accuracy/test"] == pytest.approx(results["test_accuracy"])
    # The Graphs tab fails on a graph as Keras writes it: there is none.
    with urllib.request.urlopen(f"{tensorboard}/graphs/info") as response:
        assert json.load(response) == {}
