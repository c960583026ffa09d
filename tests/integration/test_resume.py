"""Trainings that are killed, started twice or damaged, by the commands of a user."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.large
EPOCHS, STEPS_PER_EPOCH = 6, 10

# Python calls this file of a folder in PYTHONPATH at its start. It kills the process
# when it opens a file, by name and epoch, or renames it: at points that no clock hits.
KILL_AT = """
import os, signal, sys

point = os.environ.get("KILL_AT")
if point:
    event, name, times = point.split(":")
    left = [int(times)]

    def hook(happening, arguments):
        if happening == event and any(name in str(each) for each in arguments[:2]):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
"""
# Event of Python's audit, part of a path, how many times: where the run is killed.
POINTS = {
    "the best model of epoch 1 has not its name yet": "os.rename:.best.tmp.keras:1",
    "the checkpoint of epoch 2 is an empty folder": "open:epoch_0002.tmp/state.npz:1",
    "the checkpoint of epoch 3 has no sums yet": "open:epoch_0003.tmp/SHA256SUMS:1",
    "the checkpoint of epoch 4 has not its name yet": "os.rename:epoch_0004.tmp:1",
    "an old checkpoint is about to go": "shutil.rmtree:epoch_0003:1",
}


# How its own lines begin.
TENSORFLOW = r"[IWE]\d{4} |\d{4}-\d\d-\d\d |WARNING: All log messages"


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


def start(flags, workdir, log, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", "train", *flags, f"--workdir={workdir}"],
        stdout=log,
        stderr=log,
        # The shell may have the tests ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
    )


def train(flags, workdir, log):
    assert start(flags, workdir, log).wait() == 0
    return json.loads((workdir / "results.json").read_text())


def wait_for(path, process):
    """Waits until a file tells that the moment has come; fails if it never does."""
    deadline = time.monotonic() + 300
    while not path.exists():
        assert process.poll() is None, "the training ended before"
        assert time.monotonic() < deadline, "the moment did not come"
        time.sleep(0.001)


def test_sigkill_at_five_points(flags, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(KILL_AT)
    paths = [str(tmp_path), os.environ.get("PYTHONPATH", "")]
    with (tmp_path / "log").open("w") as log:
        whole = train(flags, tmp_path / "whole", log)
        workdir = tmp_path / "killed"
        for point in POINTS.values():
            environment = {"KILL_AT": point, "PYTHONPATH": os.pathsep.join(paths)}
            process = start(flags, workdir, log, **environment)
            assert process.wait() == -signal.SIGKILL, point
            assert not (workdir / "results.json").exists()
        results = train(flags, workdir, log)
    text = (tmp_path / "log").read_text()
    assert "Traceback" not in text and "damaged" not in text
    assert f"Epoch 2/{EPOCHS}" in text
    assert results["epochs"] == EPOCHS
    assert results["steps"] == EPOCHS * STEPS_PER_EPOCH
    for name, values in whole["history"].items():
        assert len(results["history"][name]) == len(values) == EPOCHS
    assert results["test_accuracy"] == pytest.approx(whole["test_accuracy"], abs=0.03)
    assert results["history"]["val_loss"] == pytest.approx(
        whole["history"]["val_loss"], rel=0.02
    )
    left = sorted(path.name for path in (workdir / "checkpoints").iterdir())
    assert left == ["epoch_0005", "epoch_0006"]
    assert not list(workdir.glob("*.tmp*")) + list(workdir.glob(".*.tmp*"))


def test_a_signal_is_one_sentence_and_the_run_is_evaluated_as_it_is(flags, tmp_path):
    workdir = tmp_path / "run"
    for epoch, (number, name) in enumerate(
        ((signal.SIGTERM, "SIGTERM"), (signal.SIGINT, "Ctrl-C")), start=1
    ):
        with (tmp_path / "log").open("w") as log:
            process = start(flags, workdir, log)
            wait_for(workdir / "checkpoints" / f"epoch_{epoch:04d}", process)
            process.send_signal(number)
            assert process.wait() == 128 + number
        *_, last = (tmp_path / "log").read_text().splitlines()
        assert last.startswith(f"error: Stopped by {name}. Run the same command")
    with (tmp_path / "log").open("w") as log:
        command = [sys.executable, "-m", "train", "--evaluate_only"]
        subprocess.run([*command, f"--workdir={workdir}"], stdout=log, check=True)
        evaluated = json.loads((workdir / "results.json").read_text())
        assert 2 <= evaluated["epochs"] < EPOCHS
        assert train(flags, workdir, log)["epochs"] == EPOCHS


def test_the_second_of_two_trainings_in_a_workdir_is_refused_at_once(flags, tmp_path):
    workdir = tmp_path / "run"
    with (tmp_path / "log").open("w") as log:
        first = start(flags, workdir, log)
        wait_for(workdir / "config.json", first)
        command = [sys.executable, "-m", "train", *flags, f"--workdir={workdir}"]
        second = subprocess.run(command, capture_output=True, text=True)
        assert first.poll() is None
        assert second.returncode == 1
        (sentence,) = second.stderr.strip().splitlines()
        assert sentence.startswith(f"error: The workdir {workdir} is in use by process")
        assert first.wait() == 0
    assert json.loads((workdir / "results.json").read_text())["epochs"] == EPOCHS


def test_names_of_any_language_in_the_locale_of_none(flags, tmp_path):
    workdir = tmp_path / "bärenläufe"
    with (tmp_path / "log").open("w") as log:
        process = start([*flags, "--epochs=1"], workdir, log, LC_ALL="C")
        assert process.wait() == 0, (tmp_path / "log").read_text()[-2000:]
    assert (workdir / "results.json").exists()


def test_the_log_of_a_training(flags, tmp_path):
    workdir, log = tmp_path / "run", tmp_path / "log"
    with log.open("w") as file:
        train([*flags, "--epochs=2"], workdir, file)
    text = pathlib.Path(log).read_bytes()
    assert not {b"\x1b", b"\b"} & {text[i : i + 1] for i in range(len(text))}
    lines = text.decode().splitlines()
    assert sum(line.startswith("Epoch ") for line in lines) == 2
    # TensorFlow's own lines tell a user nothing.
    assert not [line for line in lines if re.match(TENSORFLOW, line)]
