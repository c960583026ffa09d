"""Two workers on this machine, by the command that a user types."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

import keras_concatplexer as kcp

pytestmark = pytest.mark.large
EPOCHS = 12


@pytest.fixture
def flags(digits_dir):
    return [
        "--dataset=digits",
        f"--data_dir={digits_dir}",
        "--model=vit",
        "--learning_rate=2e-3",
        f"--epochs={EPOCHS}",
        "--augmentation=shift",
        "--noimage_summaries",
    ]


def free_ports(number):
    sockets = [socket.socket() for _ in range(number)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def start_workers(flags, workdir, logs):
    """Starts two workers; each writes to its own log."""
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(2)]}
    return [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "train",
                "--strategy=multi_worker",
                *flags,
                f"--workdir={workdir}",
            ],
            stdout=log,
            stderr=log,
            env={
                **os.environ,
                "TF_CONFIG": json.dumps(
                    {"cluster": cluster, "task": {"type": "worker", "index": index}}
                ),
            },
        )
        for index, log in enumerate(logs)
    ]


@pytest.fixture
def logs(tmp_path):
    with (tmp_path / "log0").open("w") as first, (tmp_path / "log1").open("w") as last:
        yield first, last


def test_two_workers_train_are_killed_and_go_on(flags, logs, tmp_path):
    workdir = tmp_path / "run"
    workers = start_workers(flags, workdir, logs)
    deadline = time.monotonic() + 300
    while not (workdir / "checkpoints" / "epoch_0002").exists():
        assert workers[0].poll() is None, (tmp_path / "log0").read_text()[-2000:]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    workers[1].send_signal(signal.SIGKILL)
    workers[1].wait()
    assert workers[0].wait(timeout=120) == 1
    text = (tmp_path / "log0").read_text()
    assert "error: Another worker was lost" in text

    workers = start_workers(flags, workdir, logs)
    assert [worker.wait(timeout=600) for worker in workers] == [0, 0]
    results = json.loads((workdir / "results.json").read_text())
    assert results["epochs"] == EPOCHS and results["steps"] == EPOCHS * 20
    single = tmp_path / "single"
    command = [sys.executable, "-m", "train", *flags, f"--workdir={single}"]
    subprocess.run(command, check=True, stdout=logs[0], stderr=logs[0])
    expected = json.loads((single / "results.json").read_text())
    assert results["test_accuracy"] == pytest.approx(
        expected["test_accuracy"], abs=0.02
    )


def test_both_workers_hold_the_same_weights_and_one_writes(digits_dir, logs, tmp_path):
    code = f"""
import sys, numpy as np
from train.config import Config
from train.trainer import Run
config = Config(
    strategy="multi_worker", model="vit", data_dir={str(digits_dir)!r}, epochs=1,
    train_split="train[:128]", image_summaries=False,
)
workdir, out = sys.argv[1:]
run = Run(config, workdir)
if not run.is_chief:
    import pathlib, builtins
    def refuse(*arguments, **kwargs):
        raise AssertionError(f"worker 1 writes: {{arguments}}")
    pathlib.Path.replace = pathlib.Path.rename = pathlib.Path.mkdir = refuse
    pathlib.Path.write_text = refuse
run.fit()
np.savez(out, *run.model.get_weights())
"""
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(2)]}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", code, tmp_path / "run", tmp_path / f"{index}.npz"],
            stdout=log,
            stderr=log,
            env={
                **os.environ,
                "TF_CONFIG": json.dumps(
                    {"cluster": cluster, "task": {"type": "worker", "index": index}}
                ),
            },
        )
        for index, log in enumerate(logs)
    ]
    codes = [worker.wait(timeout=300) for worker in workers]
    assert codes == [0, 0], (tmp_path / "log1").read_text()[-2000:]
    with np.load(tmp_path / "0.npz") as chief, np.load(tmp_path / "1.npz") as other:
        assert chief.files == other.files
        for name in chief.files:
            np.testing.assert_array_equal(chief[name], other[name])
    saved = kcp.bundle.load_model(tmp_path / "run", "last").get_weights()
    with np.load(tmp_path / "0.npz") as chief:
        for name, weight in zip(chief.files, saved, strict=True):
            np.testing.assert_array_equal(chief[name], weight)
