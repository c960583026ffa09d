import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from train.config import Config
from train.data import load_data
from train.data.datasets import open_source


@pytest.fixture
def folder(tmp_path):
    """Ten gray images in two classes, each of one value, and a text file."""
    for split, number in (("train", 8), ("val", 2)):
        for index in range(number):
            name = ("cat", "dog")[index % 2]
            path = tmp_path / split / name / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.full((8 + index, 10, 3), 20 * index, "uint8")
            path.write_bytes(tf.io.encode_png(pixels).numpy())
    (tmp_path / "train" / "cat" / "notes.txt").write_text("not an image")
    return tmp_path


def examples(source, split, seed=None):
    """(value of the image, label) of each example."""
    return [
        (int(tf.io.decode_png(example["image"])[0, 0, 0]), int(example["label"]))
        for example in source.encoded(split, seed)
    ]


def test_a_folder_and_its_slices(folder):
    source = open_source(f"folder:{folder}")
    assert source.info.features["label"].names == ["cat", "dog"]
    everything = examples(source, "train")
    assert sorted(everything) == [(20 * index, index % 2) for index in range(8)]
    assert everything == examples(source, "train")
    assert everything != sorted(everything)
    parts = examples(source, "train[:75%]"), examples(source, "train[75%:]")
    assert [len(part) for part in parts] == [6, 2]
    assert parts[0] + parts[1] == everything
    assert len(examples(source, "train+val")) == 10


def test_a_seed_shuffles_a_folder(folder):
    source = open_source(f"folder:{folder}")
    first = examples(source, "train", 1)
    assert first == examples(source, "train", 1) != examples(source, "train", 2)
    assert sorted(first) == sorted(examples(source, "train"))


def test_a_folder_gives_batches(folder):
    config = Config(
        dataset=f"folder:{folder}",
        train_split="train",
        validation_split="val",
        test_split="val",
        image_size=16,
    )
    data = load_data(config)
    assert data.num_images("train") == 8
    assert data.class_names == ("cat", "dog")
    batches = list(data.training_batches(4, seed=0, epochs=2))
    assert [images.shape for images, _ in batches] == [(4, 16, 16, 3)] * 4
    for images, labels in batches:
        values = np.round((images.numpy().mean((1, 2, 3)) + 1) * 127.5 / 20)
        np.testing.assert_array_equal(values % 2, np.argmax(labels, -1))


def test_folders_without_images(tmp_path):
    with pytest.raises(ValueError, match="no such folder"):
        open_source(f"folder:{tmp_path / 'none'}")
    with pytest.raises(ValueError, match="holds no images. Expected"):
        open_source(f"folder:{tmp_path}")


def test_a_damaged_record_file_is_named(digits_dir, tmp_path):
    data_dir = shutil.copytree(digits_dir, tmp_path / "data")
    (path,) = data_dir.rglob("*train*.tfrecord*")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    source = open_source("digits", str(data_dir))
    with pytest.raises(tf.errors.DataLossError):
        list(source.encoded("train"))
    assert source.damaged_files() == [str(path)]
    path.write_bytes(b"")
    with pytest.raises(tf.errors.FailedPreconditionError):
        list(source.encoded("train"))
    assert source.damaged_files() == [str(path)]
    (path,) = data_dir.rglob("dataset_info.json")
    for content in (b"", b'{"\xff'):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="dataset_info.json may be damaged"):
            open_source("digits", str(data_dir))


def test_digits_without_scikit_learn(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ValueError, match="--dataset=digits needs the package sklearn"):
        open_source("digits", str(tmp_path))


PREPARE = """
import sys
from train.data.datasets import open_source
print(sum(1 for _ in open_source("digits", sys.argv[1]).encoded("test")))
"""


@pytest.mark.large
def test_three_preparations_at_once(tmp_path):
    command = [sys.executable, "-c", PREPARE, str(tmp_path / "data")]
    root = pathlib.Path(__file__).parents[3]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root)
        for _ in range(3)
    ]
    answers = [process.communicate()[0].strip() for process in processes]
    assert answers == ["360"] * 3
