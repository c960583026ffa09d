import dataclasses
import shutil

import numpy as np
import pytest
import tensorflow as tf

import keras_concatplexer as kcp
from tests.train.data.messy_folder import GOOD, make_messy_folder
from train.config import Config
from train.data.run_data import check_same_data, load_run_data, remember_data


@pytest.fixture(scope="module")
def config(digits_dir):
    return Config(data_dir=str(digits_dir))


@pytest.fixture(scope="module")
def data(config):
    return load_run_data(config)


def test_splits_that_share_images_are_named(config, data, capsys):
    assert data.overlaps() == []
    same = dataclasses.replace(
        config,
        train_split="train",
        validation_split="train[90%:]+test[:10]",
        test_split="test[5:]",
    )
    assert load_run_data(same).overlaps() == [
        ("train", "validation", 144),
        ("validation", "test", 5),
    ]
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("warning: 144 images of the train split are in the val")


def test_the_images_of_a_trained_model(config):
    channels = []

    def preprocessor_for(num_channels):
        channels.append(num_channels)
        return kcp.preprocessing.ImagePreprocessor((24, 24, 3), std=0.25)

    data = load_run_data(config, preprocessor_for)
    assert channels == [1]
    images, _ = next(iter(data.batches("test", 2)))
    assert images.shape == (2, 24, 24, 3)


def test_the_same_data_goes_on(data, tmp_path):
    check_same_data(tmp_path, data)
    remember_data(tmp_path, data)
    check_same_data(tmp_path, data)


def test_an_export_learns_which_images_were_trained_on(config, data, tmp_path):
    remember_data(tmp_path, data)
    # A tenth was held out.
    told = kcp.bundle.read_json(tmp_path / "calibration.json")
    assert told == {"split": "train[0:1293]"} == {"split": data.splits["train"]}
    folder = tmp_path / "images"
    make_messy_folder(folder)
    settings = {"dataset": f"folder:{folder}", "bad_images": "skip"}
    remember_data(tmp_path, load_run_data(dataclasses.replace(config, **settings)))
    told = kcp.bundle.read_json(tmp_path / "calibration.json")
    expected = [name for name in GOOD if name.startswith("train/")]
    assert sorted(told["files"]) == sorted(expected)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"class_names": tuple("012345678x")}, r"classes lost \['9'\], gained \['x'\]"),
        ({"class_names": tuple("0123456798")}, "classes were .* are "),
        ({"splits": {"train": "train[:80%]"}}, "train had 1293 images, has 1150"),
        ({"splits": {"test": "test[1:]+train[:1]"}}, "test has other files"),
    ],
)
def test_other_data_is_refused(data, tmp_path, changes, message):
    remember_data(tmp_path, data)
    splits = {**data.splits, **changes.get("splits", {})}
    changed = dataclasses.replace(data, **{**changes, "splits": splits})
    with pytest.raises(ValueError, match=f"has changed: .*{message}"):
        check_same_data(tmp_path, changed)


@pytest.mark.large
def test_a_class_that_came_or_went(tmp_path):
    def files(*classes):
        for index in range(4):
            for name in classes:
                path = tmp_path / "data" / ("train", "test")[index % 2] / name
                path.mkdir(parents=True, exist_ok=True)
                image = np.full((8, 8, 3), 60 * index, "uint8")
                content = tf.io.encode_png(image).numpy()
                (path / f"{index}.png").write_bytes(content)
        config = Config(
            dataset=f"folder:{tmp_path / 'data'}",
            train_split="train",
            validation_split="test[:1]",
            test_split="test[1:]",
        )
        return load_run_data(config)

    remember_data(tmp_path, files("cat", "dog"))
    check_same_data(tmp_path, files("cat", "dog"))
    with pytest.raises(ValueError, match=r"classes lost \[\], gained \['horse'\]"):
        check_same_data(tmp_path, files("horse"))
    shutil.rmtree(tmp_path / "data" / "train" / "horse")
    shutil.rmtree(tmp_path / "data" / "test" / "horse")
    path = tmp_path / "data" / "train" / "cat" / "0.png"
    path.rename(path.with_name("9.png"))
    with pytest.raises(ValueError, match="has changed: train has other files"):
        check_same_data(tmp_path, files())


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"classes": 1}'])
def test_a_damaged_record_is_named(data, tmp_path, content):
    (tmp_path / "data.json").write_text(content)
    with pytest.raises(ValueError, match="data.json is damaged"):
        check_same_data(tmp_path, data)
