"""Scores many files by the command: whole, killed, broken, and for its memory."""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

pytestmark = pytest.mark.large

CIFAR10 = pathlib.Path(__file__).parents[4] / "shared" / "data" / "tfds" / "cifar10"
NUM_IMAGES = 20_000
BATCH_SIZE = 32


@pytest.fixture(scope="module")
def images(tmp_path_factory, encode):
    """A folder of CIFAR-10 images as PNG files, and their pixels."""
    if not CIFAR10.is_dir():
        pytest.skip("CIFAR-10 is not beside the project")
    import tensorflow_datasets as tfds

    folder = tmp_path_factory.mktemp("cifar10")
    data = tfds.load(
        "cifar10", split=f"train[:{NUM_IMAGES}]", data_dir=str(CIFAR10.parent)
    )
    pixels = np.stack([example["image"] for example in data.as_numpy_iterator()])
    for i, image in enumerate(pixels):
        path = folder / f"{i // 1000:02}" / f"{i:05}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encode(image))
    return folder, pixels


def start(*arguments):
    command = [sys.executable, "-m", "savedmodel_export.scoring", *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def finish(*arguments):
    """Runs the command; returns its messages and its peak of memory in bytes."""
    process = start(*arguments)
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, said
    return said, usage.ru_maxrss * 1024


def read(folder, name="part"):
    paths = sorted(folder.glob(f"{name}-*.parquet"))
    return pa.concat_tables(map(pyarrow.parquet.read_table, paths))


@pytest.mark.parametrize("kind", ["image", "group"])
def test_answers_of_the_live_model(make_served, images, tmp_path, kind):
    folder, pixels = images
    served = make_served(kind)
    chosen = [f"--model={served.version}", f"--input={folder}", "--shard_size=1000"]
    chosen += [f"--batch_size={BATCH_SIZE}", "--outputs=logits"]
    finish(*chosen, f"--output={tmp_path / 'whole'}")
    table = read(tmp_path / "whole")
    assert table["key"].to_pylist() == [
        f"{i // 1000:02}/{i:05}.png" for i in range(NUM_IMAGES)
    ]
    logits = np.array(table["logits"].to_pylist(), "float32")
    # The batches start anew with each shard: 1,000 is no multiple of 32.
    expected = np.concatenate(
        [
            served.live(pixels[first : min(first + BATCH_SIZE, shard + 1000)])
            for shard in range(0, NUM_IMAGES, 1000)
            for first in range(shard, shard + 1000, BATCH_SIZE)
        ]
    )
    difference = np.abs(logits - expected).max() / np.abs(expected).max()
    # Killed at five moments.
    rng, output = random.Random(0), tmp_path / "killed"
    for _ in range(5):
        running = start(*chosen, f"--output={output}")
        done = len(list(output.glob("part-*")))
        while len(list(output.glob("part-*"))) <= done and running.poll() is None:
            time.sleep(0.02)
        time.sleep(rng.uniform(0, 0.5))
        running.send_signal(signal.SIGKILL)
        running.communicate()
    finish(*chosen, f"--output={output}")
    same = read(output).equals(table)
    print(f"\n{kind}: largest difference {difference:.1e} of the logits, equal: {same}")
    assert difference < 1e-4 and same
    assert table["class_id"].to_pylist() == expected.argmax(-1).tolist()


@pytest.mark.parametrize("kind", ["image", "group"])
def test_beam_gives_the_tables_of_one_machine(make_served, images, tmp_path, kind):
    pytest.importorskip("apache_beam")
    folder, _ = images
    chosen = [f"--model={make_served(kind).version}", f"--input={folder}"]
    chosen += ["--shard_size=1000", "--outputs=logits"]
    runs = {
        "local": [],
        "one worker": ["--direct_running_mode=in_memory"],
        "two workers": [
            "--direct_num_workers=2",
            "--direct_running_mode=multi_processing",
        ],
    }
    tables, seconds = {}, {}
    for name, options in runs.items():
        runner = ["--runner=DirectRunner", *options] if options else []
        started = time.monotonic()
        finish(*chosen, *runner, f"--output={tmp_path / name}")
        seconds[name] = round(time.monotonic() - started)
        tables[name] = read(tmp_path / name)
    same = {name: table.equals(tables["local"]) for name, table in tables.items()}
    print(f"\n{kind}: equal {same}, seconds {seconds}")
    assert tables["local"].num_rows == NUM_IMAGES
    assert all(same.values())


def test_broken_files(make_served, encoded, bombs, tmp_path):
    folder = tmp_path / "images"
    rng = random.Random(1)
    broken = set()
    for i in range(10_000):
        path = folder / f"{i % 20:02}" / f"{i:05}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = encoded[i % len(encoded)]
        if rng.random() > 0.01:
            path.write_bytes(content)
            continue
        broken.add(str(path.relative_to(folder)))
        kind = len(broken) % 9
        if kind == 0:
            path.write_bytes(content[: rng.randrange(1, len(content) // 2)])
        elif kind == 1:
            path.touch()
        elif kind == 2:
            path.write_text("text")
        elif kind == 3:
            path.write_bytes(rng.choice(bombs))
        elif kind == 4:
            path.symlink_to(path.name)
        elif kind == 5:
            os.mkfifo(path)
        elif kind == 6:
            path.symlink_to("/dev/zero")
        elif kind == 7:
            path.symlink_to("nowhere")
        else:
            with path.open("wb") as file:
                file.truncate(2**35)
    (folder / "loop").symlink_to(folder)
    odd = folder / "=cmd\n\udcff.png"
    odd.write_bytes(encoded[0])
    broken.add("loop")
    chosen = [f"--model={make_served('group').version}", f"--input={folder}"]
    finish(*chosen, f"--output={tmp_path / 'scores'}", "--max_error_share=0.02")
    wrong = read(tmp_path / "scores", "errors")["key"].to_pylist()
    right = read(tmp_path / "scores")["key"].to_pylist()
    print(f"\n{len(right)} scores, {len(wrong)} errors")
    assert sorted(wrong) == sorted(broken)
    assert len(right) == len(set(right)) == 10_002 - len(broken)
    assert "=cmd\n\\udcff.png" in right


def test_memory_is_flat(make_served, encoded, tmp_path):
    peaks = {}
    for number in (5_000, 50_000):
        folder = tmp_path / str(number)
        for i in range(number):
            path = folder / f"{i // 1000:02}" / f"{i:05}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded[i % len(encoded)])
        _, peaks[number] = finish(
            f"--model={make_served('image').version}",
            f"--input={folder}",
            f"--output={tmp_path / f'scores {number}'}",
            "--outputs=probabilities",
        )
    words = {n: f"{peak / 2**20:.0f} MiB" for n, peak in peaks.items()}
    print(f"\npeaks: {words}")
    assert peaks[50_000] <= 1.1 * peaks[5_000]
    manifest = json.loads((tmp_path / "scores 50000" / "manifest.json").read_text())
    assert manifest["scored"] == 50_000
