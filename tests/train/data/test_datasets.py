import dataclasses
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

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
    # Each with its share of both classes.
    assert [sorted(label for _, label in part) for part in parts] == [
        [0, 0, 0, 1, 1, 1],
        [0, 1],
    ]
    assert sorted(parts[0] + parts[1]) == sorted(everything)
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
    with pytest.raises(ValueError, match="of 0 classes.*Expected"):
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


def test_a_preparation_writes_a_log_without_escape_codes(tmp_path, capfd):
    tfds.enable_progress_bar()
    open_source("digits", str(tmp_path))
    said = capfd.readouterr()
    assert not {"\x1b", "\b", "\r"} & set(said.out + said.err)


def test_digits_without_scikit_learn(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ValueError, match="--dataset=digits needs the package sklearn"):
        open_source("digits", str(tmp_path))


@pytest.fixture
def make_dataset(tmp_path, monkeypatch):
    """Function that makes a TFDS dataset of four images and its `Config`."""

    def make(labels=(0, 1, 0, 1), names=("a", "b"), channels=3, dtype=np.uint8):
        features = {"image": tfds.features.Image(shape=(8, 8, channels), dtype=dtype)}
        if names:
            features["label"] = tfds.features.ClassLabel(names=list(names))
        features = tfds.features.FeaturesDict(features)
        largest = 1.0 if dtype == np.float32 else np.iinfo(dtype).max

        class Made(tfds.core.GeneratorBasedBuilder, skip_registration=True):
            VERSION = tfds.core.Version("1.0.0")

            def _info(self):
                return self.dataset_info_from_configs(features=features)

            def _split_generators(self, dl_manager):
                return {"train": self._generate_examples()}

            def _generate_examples(self):
                image = np.full((8, 8, channels), largest, dtype)
                for index, label in enumerate(labels):
                    example = {"image": image, "label": label}
                    yield index, {name: example[name] for name in features}

        monkeypatch.setattr(
            tfds, "builder", lambda name, data_dir: Made(data_dir=data_dir)
        )
        return Config(
            dataset="made",
            data_dir=str(tmp_path),
            train_split="train[:2]",
            validation_split="train[2:3]",
            test_split="train[3:]",
        )

    return make


@pytest.mark.parametrize(
    "options, message",
    [
        ({"labels": (0, 1, -1, 0)}, "without a class: a label is -1"),
        ({"names": ("a",), "labels": (0,) * 4}, "1 class: there is nothing to tell"),
        ({"channels": 1, "dtype": np.float32}, "are of float32. Expected uint8"),
    ],
)
def test_data_of_no_use_is_refused(make_dataset, options, message):
    with pytest.raises(ValueError, match=message):
        load_data(make_dataset(**options))


@pytest.mark.parametrize("name", ["", "folder:"])
def test_no_name_at_all(name):
    with pytest.raises(ValueError, match="names no data: expected `digits`"):
        open_source(name)


def test_features_are_learnt_without_labels(make_dataset):
    config = make_dataset(names=())
    with pytest.raises(ValueError, match="made is not image classification"):
        load_data(config)
    config = dataclasses.replace(config, objective="features", init_from="run")
    data = load_data(config)
    assert data.class_names == ("any",)
    ((images, labels),) = data.batches("train", 8)
    assert images.shape == (2, 16, 16, 3) and labels.numpy().tolist() == [0, 0]


@pytest.mark.parametrize("channels, dtype", [(4, np.uint8), (3, np.uint16)])
def test_alpha_is_dropped_and_16_bits_are_cut(make_dataset, channels, dtype):
    data = load_data(make_dataset(channels=channels, dtype=dtype))
    ((images, _),) = data.batches("train", 8)
    # The largest value of 8 or 16 bits is white.
    np.testing.assert_array_equal(images, np.ones((2, 16, 16, 3)))


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
    answers = [process.communicate()[0].split()[-1] for process in processes]
    assert answers == ["360"] * 3
