"""The exporting command, from the outside."""

import json
import random
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


def test_options_and_files_beside_the_model(workdir, tmp_path):
    options = ("--input_dtype=uint8", "--max_pixels=1000", "--max_batch_size=4")
    result = subprocess.run(
        command(workdir, tmp_path / "model", *options), capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    version = tmp_path / "model" / "1"
    assert result.stdout.strip().splitlines()[-1] == str(version)
    card = json.loads((version / "model_card.json").read_text())
    assert card["dataset"] == "digits"
    assert card["test_accuracy"] == 0.75
    assert card["training_config"]["epochs"] == 3
    assert card["allowed_batch_sizes"] == [1, 2, 4]
    assert card["input_dtype"] == "uint8"
    assert {path.name for path in tmp_path.iterdir()} == {
        *("model", "models.config", "monitoring.config"),
        *("serve.sh", "docker-compose.yml"),
    }


@pytest.mark.large
def test_a_target_that_cannot_be_written_is_one_line(workdir):
    result = subprocess.run(
        command(workdir, "/proc/self/out"), capture_output=True, text=True
    )
    assert result.returncode == 1
    assert result.stderr.strip().splitlines()[-1].startswith("error: The export folder")
    assert "Traceback" not in result.stderr


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
    left = [path.name for path in export_dir.iterdir()]
    assert all(name.isdecimal() for name in left)
    assert sorted(map(int, left)) == list(range(1, len(versions) + 2))
