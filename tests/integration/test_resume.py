"""Trainings that are killed, by the commands as a user types them."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.large
EPOCHS, STEPS_PER_EPOCH = 6, 10
# Where the training code stands when it is killed.
MOMENTS = ("step", "checkpoint", "between")


@pytest.fixture
def flags(digits_dir):
    return [
        "--dataset=digits",
        f"--data_dir={digits_dir}",
        "--train_split=train[:640]",
        "--model=vit",
        f"--epochs={EPOCHS}",
        "--augmentation=shift",
        "--noimage_summaries",
    ]


def start(flags, workdir, log):
    return subprocess.Popen(
        [sys.executable, "-m", "train", *flags, f"--workdir={workdir}"],
        stdout=log,
        stderr=log,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def train(flags, workdir, log):
    assert start(flags, workdir, log).wait() == 0
    return json.loads((workdir / "results.json").read_text())


def wait_for(condition, process):
    """Waits until a file tells that the moment has come; fails if it never does."""
    deadline = time.monotonic() + 300
    while not condition():
        assert process.poll() is None, "the training ended before it was killed"
        assert time.monotonic() < deadline, "the moment did not come"
        time.sleep(0.001)


def is_moment(name, workdir, epoch):
    """Whether the run is in this place of the given epoch."""
    checkpoints = workdir / "checkpoints"
    if name == "checkpoint":
        return (checkpoints / f"epoch_{epoch:04d}.tmp").exists()
    # After the epoch's checkpoint follow the next epoch's steps at once.
    return (checkpoints / f"epoch_{epoch:04d}").exists()


def test_sigkill_at_three_moments(flags, tmp_path):
    rng = random.Random(0)
    with (tmp_path / "log").open("w") as log:
        whole = train(flags, tmp_path / "whole", log)
        workdir = tmp_path / "killed"
        completed = []
        for epoch, moment in enumerate(MOMENTS, start=1):
            process = start(flags, workdir, log)
            wait_for(lambda m=moment, e=epoch: is_moment(m, workdir, e), process)
            if moment == "step":
                time.sleep(rng.uniform(0.1, 0.6))
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
            assert not (workdir / "results.json").exists()
            names = sorted(path.name for path in (workdir / "checkpoints").iterdir())
            completed.append(names)
        results = train(flags, workdir, log)
    text = (tmp_path / "log").read_text()
    assert "Traceback" not in text
    assert f"Epoch 2/{EPOCHS}" in text
    assert results["epochs"] == EPOCHS
    assert results["steps"] == EPOCHS * STEPS_PER_EPOCH
    for name, values in whole["history"].items():
        assert len(results["history"][name]) == len(values) == EPOCHS
    assert results["test_accuracy"] == pytest.approx(whole["test_accuracy"], abs=0.03)
    assert results["history"]["val_loss"] == pytest.approx(
        whole["history"]["val_loss"], rel=0.02
    )


def test_sigterm(flags, tmp_path):
    workdir = tmp_path / "run"
    with (tmp_path / "log").open("w") as log:
        process = start(flags, workdir, log)
        wait_for(lambda: is_moment("between", workdir, 2), process)
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 128 + signal.SIGTERM
        assert train(flags, workdir, log)["epochs"] == EPOCHS
    text = (tmp_path / "log").read_text()
    assert "error: Stopped by SIGTERM. Run the same command" in text
    assert "Traceback" not in text
