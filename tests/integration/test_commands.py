"""The commands as a user types them, each in its own process."""

import json
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pyarrow.parquet
import pytest
import tensorflow as tf

from tests.savedmodel_export.batching_server import Servicer
from tests.savedmodel_export.conftest import Served
from tests.savedmodel_export.rest_server import start_rest
from tests.train.data.messy_folder import (
    BAD,
    WITH_ANSWER,
    WITHOUT_ANSWER,
    make_messy_folder,
)
from train import Config, load_data


def run(*command):
    return subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True
    )


@pytest.mark.large
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


@pytest.mark.large
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
def test_a_messy_folder_from_training_to_the_served_answer(tmp_path):
    folder, workdir = tmp_path / "data", tmp_path / "run"
    make_messy_folder(folder)
    train = (
        *("train", f"--dataset=folder:{folder}", f"--workdir={workdir}"),
        *("--epochs=1", "--batch_size=4", "--warmup_epochs=0", "--model=vit"),
    )
    result = run(*train)
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert re.search(r"train/cat/truncated.jpg: .*Invalid JPEG data", result.stderr)
    result = run(*train, "--bad_images=skip")
    assert result.returncode == 0, result.stderr
    assert "train: cat 9, dog 6" in result.stdout
    assert "GMACs for an image of 20 x 20" in result.stdout
    results = json.loads((workdir / "results.json").read_text())
    assert results["left_out"]["bad images"] == len(BAD) + 1
    result = run("train", f"--workdir={workdir}", "--evaluate_only")
    assert result.returncode == 0, result.stderr

    export = ("savedmodel_export", f"--workdir={workdir}")
    result = run(*export, f"--export_dir={tmp_path / 'out'}")
    assert result.returncode == 0, result.stderr
    version = pathlib.Path(result.stdout.strip().splitlines()[-1])
    served = Served(None, None, version)
    pair = [f"train/dog/{name}.png" for name in ("upright", "turned")]
    contents = [(folder / name).read_bytes() for name in pair]
    upright, turned = served.answer("serve_bytes", contents)["logits"]
    np.testing.assert_array_equal(upright, turned)
    # In training: the only two images that are not of one color.
    data = load_data(Config.saved_in(workdir))
    images = np.concatenate([x for x, _ in data.batches("train", 4)])
    upright, turned = images[np.ptp(images, axis=(1, 2)).max(-1) > 0.5]
    np.testing.assert_array_equal(upright, turned)

    server, address = start_rest(Servicer(served, [1, 2, 4, 8]))
    result = run(
        *("savedmodel_export.client", str(folder), "--model=messy"),
        *(f"--rest={address}", f"--output={tmp_path / 'answers.jsonl'}"),
    )
    server.shutdown()
    number = len(WITH_ANSWER) + len(WITHOUT_ANSWER)
    said = f"{len(WITHOUT_ANSWER)} of {number} files were not classified"
    assert result.returncode == 1 and said in result.stderr, result.stderr
    answers, errors = (
        [json.loads(line) for line in (tmp_path / name).read_text().splitlines()]
        for name in ("answers.jsonl", "answers.errors.jsonl")
    )
    client = {os.path.relpath(row.pop("file"), folder): row for row in answers}
    wrong = {os.path.relpath(row["file"], folder) for row in errors}
    assert (set(client), wrong) == (WITH_ANSWER, WITHOUT_ANSWER)
    assert client[pair[0]] == pytest.approx(client[pair[1]])

    result = run(
        *("savedmodel_export.scoring", f"--model={version}", f"--input={folder}"),
        *(f"--output={tmp_path / 'scores'}", "--max_error_share=0.5"),
    )
    said = f"{len(WITH_ANSWER)} images scored, {len(WITHOUT_ANSWER)} errors"
    assert result.returncode == 0 and said in result.stderr, result.stderr
    scores, errors = (
        pyarrow.parquet.read_table(tmp_path / "scores" / f"{name}-00000.parquet")
        for name in ("part", "errors")
    )
    scored = {row.pop("key"): row for row in scores.to_pylist()}
    assert (set(scored), set(errors["key"].to_pylist())) == (
        WITH_ANSWER,
        WITHOUT_ANSWER,
    )
    assert scored[pair[0]] == pytest.approx(scored[pair[1]])
    assert {key: row["class"] for key, row in scored.items()} == {
        key: row["class"] for key, row in client.items()
    }
    print(f"\n{said}; the client and the table agree")


@pytest.mark.large
def test_the_demo(tmp_path):
    result = run("benchmarks.demo", f"--workdir={tmp_path}")
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout.strip().splitlines()[-1])
    assert list(answer) == [
        "dataset",
        "model",
        "num_mux",
        "test_accuracy",
        "test_accuracy_exported",
        "test_accuracy_scored",
        "images_per_second_exported",
        "images_per_second_vit",
        "export_dir",
        "seconds",
    ]
    assert answer["test_accuracy"] >= 0.95
    assert answer["test_accuracy_exported"] == pytest.approx(
        answer["test_accuracy"], abs=1e-6
    )
    # The same batches by the command that scores: the same answers.
    assert answer["test_accuracy_scored"] == answer["test_accuracy_exported"]
    assert "part-00000.parquet, the first of 360 rows" in result.stdout
