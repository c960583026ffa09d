"""The exporting command, from the outside."""

import json
import os
import random
import shutil
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

import keras_concatplexer as kcp
from savedmodel_export.verify.c_api import LoadedModel


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A folder as training leaves it, with any classifier in it."""
    folder = tmp_path_factory.mktemp("run")
    model = keras.Sequential(
        [keras.Input((16, 16, 3)), keras.layers.Flatten(), keras.layers.Dense(10)]
    )
    model.save(folder / "best.keras")
    preprocessor = kcp.preprocessing.ImagePreprocessor((16, 16, 3))
    kcp.bundle.write_description(folder, preprocessor, [str(i) for i in range(10)])
    (folder / "config.json").write_text('{"dataset": "digits", "epochs": 3}')
    (folder / "results.json").write_text('{"best": {"accuracy": 0.75}}')
    return folder


def command(workdir, export_dir, *options):
    return [
        *(sys.executable, "-m", "savedmodel_export"),
        *(f"--workdir={workdir}", f"--export_dir={export_dir}", *options),
    ]


def run(*arguments):
    return subprocess.run(command(*arguments), capture_output=True, text=True)


def test_options_and_files_beside_the_model(workdir, tmp_path):
    export_dir = tmp_path / "größe 'x' $(touch y)"
    result = subprocess.run(
        command(
            *(workdir, "~/" + export_dir.name, "--input_dtype=uint8"),
            *("--max_pixels=1000", "--max_bytes=2000", "--max_batch_size=4"),
        ),
        capture_output=True,
        text=True,
        # No locale and a home directory: paths may hold any characters, and `~`.
        env={**os.environ, "LC_ALL": "C", "HOME": str(tmp_path)},
    )
    assert result.returncode == 0, result.stderr
    version = export_dir / "1"
    assert result.stdout.splitlines() == [str(version)]
    card = json.loads((version / "model_card.json").read_text())
    assert card["dataset"] == "digits"
    assert card["test_accuracy"] == 0.75
    assert card["training_config"]["epochs"] == 3
    assert card["allowed_batch_sizes"] == [1, 2, 4]
    assert (card["input_dtype"], card["max_pixels"]) == ("uint8", 1000)
    assert card["max_bytes"] == 2000
    # Nothing but the folder that the user named; Keras keeps its own in HOME.
    assert [p for p in tmp_path.iterdir() if p.name[0] != "."] == [export_dir]
    assert {path.name for path in (export_dir / "serving").iterdir()} == {
        *("models.config", "monitoring.config", "serve.sh", "docker-compose.yml"),
    }


def test_help_and_mistakes_are_answered_at_once(workdir):
    program = [sys.executable, "-X", "importtime", "-m", "savedmodel_export"]
    for arguments, code in (
        (["--help"], 0),
        ([f"--workdir={workdir}", "--export_dr=x"], 1),
        ([f"--workdir={workdir}"], 1),
        (
            [f"--workdir={workdir}", "--export_dir=x", "--precision=int8", "--nofuse"],
            1,
        ),
        ([f"--workdir={workdir}", "--export_dir=x", "--calibration=test"], 1),
        (
            [f"--workdir={workdir}", "--export_dir=x", "--format=onnx", "--fuse"],
            1,
        ),
    ):
        result = subprocess.run([*program, *arguments], capture_output=True, text=True)
        assert result.returncode == code
        assert "tensorflow" not in result.stderr and "keras.src" not in result.stderr
        errors = [x for x in result.stderr.splitlines() if not x.startswith("import")]
        assert bool(errors) == bool(code)
        assert all(x.startswith(("error: ", "Try ")) for x in errors)
    assert "error: --fuse belongs to --format=tf_saved_model" in errors[0]


@pytest.mark.large
@pytest.mark.parametrize("name", ["bundle.json", "best.keras", "results.json"])
def test_a_damaged_file_is_named_in_one_line(workdir, tmp_path, name):
    damaged = shutil.copytree(workdir, tmp_path / "damaged")
    content = (damaged / name).read_bytes()
    (damaged / name).write_bytes(content[: len(content) // 2])
    result = run(damaged, tmp_path / "out")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error: {damaged / name} is damaged or not of this program")


@pytest.mark.large
def test_a_target_that_cannot_be_written_is_one_line(workdir):
    result = run(workdir, "/proc/self/out")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: The export folder /proc/self/out cannot be written")


@pytest.mark.large
def test_exporters_killed_at_random_moments(workdir, tmp_path):
    export_dir = tmp_path / "model"
    started = time.monotonic()
    subprocess.run(command(workdir, export_dir), check=True, capture_output=True)
    seconds = time.monotonic() - started
    rng = random.Random(0)
    for _ in range(5):
        exporters = [
            subprocess.Popen(
                command(workdir, export_dir),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for _ in range(2)
        ]
        # The second half of the time: before, there is nothing on the disk.
        time.sleep(seconds * rng.uniform(0.5, 1.3))
        for exporter in exporters:
            exporter.kill()
            exporter.wait()
    images = np.zeros((2, 16, 16, 3), "float32")
    versions = [path for path in export_dir.iterdir() if path.name.isdecimal()]
    for version in versions:
        model = LoadedModel(version)
        assert model.run("serving_default", {"images": images})["logits"].shape == (
            2,
            10,
        )
        for name in ("model_card.json", "batching_params.pbtxt", "assets.extra"):
            assert (version / name).exists()
    subprocess.run(command(workdir, export_dir), check=True, capture_output=True)
    assert [path.name for path in (export_dir / ".savedmodel_export").iterdir()] == [
        "lock"
    ]
    left = {path.name for path in export_dir.iterdir()}
    numbers = {str(n) for n in range(1, len(versions) + 2)}
    assert left == {*numbers, "serving", ".savedmodel_export"}
