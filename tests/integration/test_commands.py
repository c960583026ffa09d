"""The commands as a user types them, each in its own process."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf


def run(*command):
    return subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True
    )


def test_export_of_a_trained_run(trained_concatplexer, tmp_path):
    workdir, _ = trained_concatplexer
    result = run(
        "savedmodel_export", f"--workdir={workdir}", f"--export_dir={tmp_path / 'out'}"
    )
    assert result.returncode == 0, result.stderr
    version = result.stdout.strip().splitlines()[-1]
    assert version == str(tmp_path / "out" / "1")
    signature = tf.saved_model.load(version).signatures["serving_default"]
    outputs = signature(images=np.zeros((3, 16, 16, 1), "float32"))
    assert outputs["logits"].shape == (3, 10)
    assert set(outputs["classes"].numpy()) <= {str(d).encode() for d in range(10)}


def test_a_workdir_without_a_checkpoint_is_one_clear_error(tmp_path):
    result = run("savedmodel_export", f"--workdir={tmp_path}", "--export_dir=/tmp/x")
    assert result.returncode == 1
    assert result.stderr.strip().splitlines()[-1].startswith("error: ")
    assert "holds no trained model" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_unknown_dataset_is_one_clear_error(tmp_path):
    result = run("train", "--dataset=digit", f"--workdir={tmp_path / 'run'}")
    assert result.returncode == 1
    assert "error: Unknown dataset 'digit'" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.large
def test_the_demo(tmp_path):
    import json

    result = run("benchmarks.demo", f"--workdir={tmp_path}")
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout.strip().splitlines()[-1])
    assert list(answer) == [
        "dataset",
        "model",
        "num_mux",
        "test_accuracy",
        "test_accuracy_exported",
        "images_per_second_exported",
        "images_per_second_vit",
        "export_dir",
        "seconds",
    ]
    assert answer["test_accuracy"] >= 0.95
    assert answer["test_accuracy_exported"] == pytest.approx(
        answer["test_accuracy"], abs=1e-6
    )
