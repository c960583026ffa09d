import os

import numpy as np
import pytest

from tests.image_formats.files import png
from tests.train.data.messy_folder import (
    BAD,
    GOOD,
    JPEG,
    PNG,
    make_messy_folder,
    turned_by_exif,
    write,
)
from train.config import Config
from train.data import load_data
from train.data.datasets import open_source
from train.data.folder_check import image_sizes
from train.data.folders import read_folder
from train.data.run_data import check_same_data, load_run_data, remember_data


@pytest.fixture
def messy(tmp_path):
    make_messy_folder(tmp_path)
    return tmp_path


def names(folder):
    return {
        str(path.relative_to(folder.root))
        for files in folder.files.values()
        for path, _ in files
    }


def test_a_messy_folder_is_refused_with_the_names_of_its_bad_files(messy):
    with pytest.raises(ValueError, match="7 of 26 images.*--bad_images=skip") as error:
        load_data(Config(dataset=f"folder:{messy}"))
    for name in (*BAD, "train/dog/broken.jpg"):
        assert f"{name}: " in str(error.value)


def test_a_messy_folder_trains_without_its_bad_files(messy, tmp_path, capsys):
    config = Config(dataset=f"folder:{messy}", bad_images="skip", batch_size=5)
    data = load_run_data(config)
    assert names(data.source.folder) == set(GOOD)
    assert data.class_names == ("cat", "dog")
    assert data.splits == {"train": "train", "validation": "val", "test": "test"}
    assert [data.num_images(part) for part in data.splits] == [15, 2, 2]
    assert data.left_out() == {
        "bad images": 7,
        "empty folders of classes": 1,
        "files beside the folders of classes": 1,
        "files of other kinds": 1,
        "hidden or system files": 3,
        "hidden or system folders": 1,
        "images of classes that have none to train on": 1,
        "links to a folder around them": 1,
        "no regular files": 1,
    }
    printed = capsys.readouterr().out
    assert "train: cat 9, dog 6" in printed
    assert "left out 7 bad images: " in printed
    # The usual side is 20: five patches of 4.
    batches = list(data.training_batches(5, seed=0))
    assert [images.shape for images, _ in batches] == [(5, 20, 20, 3)] * 3

    paths = [path.name for path, _ in data.source.folder.part("train", 0, 15)]
    ((images, labels),) = data.batches("train", 15)
    upright, turned = (paths.index(f"{name}.png") for name in ("upright", "turned"))
    np.testing.assert_array_equal(images[upright], images[turned])
    assert sorted(labels.numpy()) == [0] * 9 + [1] * 6

    remember_data(tmp_path, data)
    check_same_data(tmp_path, data)
    (messy / "train/cat/photo.jpg").rename(messy / "train/cat/other.jpg")
    with pytest.raises(ValueError, match="has changed: .*train"):
        check_same_data(tmp_path, load_data(config))


def folder_of(tmp_path, *files):
    write(tmp_path, dict.fromkeys(files, JPEG))
    return read_folder(tmp_path)


def test_classes_without_splits(tmp_path):
    folder = folder_of(tmp_path, *(f"{n}/{i}.jpg" for n in "ab" for i in range(20)))
    assert list(folder.files) == ["train"] and folder.class_names == ("a", "b")
    data = load_data(Config(dataset=f"folder:{tmp_path}"))
    assert [data.num_images(part) for part in data.splits] == [32, 4, 4]
    assert len(data.notes) == 2
    held_out = [path for path, _ in folder.part("train", 36, 40)]
    assert sorted(path.parent.name for path in held_out) == ["a", "a", "b", "b"]


def test_a_class_may_be_called_as_a_split(tmp_path):
    folder = folder_of(tmp_path, "train/1.jpg", "bus/1.jpg")
    assert folder.class_names == ("bus", "train")


def test_what_is_held_out_hardly_depends_on_other_files(tmp_path):
    files = [f"{name}/{i}.jpg" for name in "ab" for i in range(50)]
    before = {path for path, _ in folder_of(tmp_path, *files).part("train", 90, 100)}
    folder = folder_of(tmp_path, "a/new.jpg")
    after = {path for path, _ in folder.part("train", 91, 101)}
    assert len(before & after) >= 9


@pytest.mark.parametrize(
    "files, message",
    [
        ([], "of 0 classes"),
        (["1.jpg", "2.jpg"], "of 0 classes"),
        (["train/a/1.jpg"], "of 1 classes: a"),
        (["train/a/1.jpg", "train/b/1.jpg", "val/A/1.jpg"], "'A', 'a'.*upper case"),
        (["a b/1.jpg", "a  b/1.jpg"], "differ in upper case, spaces"),
        (["a\nb/1.jpg", "c/1.jpg"], "cannot be printed"),
        (["val/a/1.jpg", "val/b/1.jpg", "test/a/1.jpg"], "to train on of 0 classes"),
        (["train/cat.1.jpg", "test/1.jpg"], "named as splits and hold no folders"),
        (["train/x/1.jpg", "train/y/1.jpg", "bus/1.jpg"], "training images bus hold"),
        (["caf\u00e9/1.jpg", "cafe\u0301/1.jpg"], "accents' code"),
    ],
)
def test_folders_that_are_refused(tmp_path, files, message):
    with pytest.raises(ValueError, match=message):
        folder_of(tmp_path, *files)


def test_names_that_are_no_text(tmp_path):
    name = os.fsdecode(b"caf\xe9.jpg")
    folder_of(tmp_path, f"a/{name}", f"b/{name}", "b/2.jpg")
    data = load_data(Config(dataset=f"folder:{tmp_path}", image_size=16))
    assert len(list(data.batches("test", 1))) == 1
    (tmp_path / "a" / name).write_bytes(b"x")
    with pytest.raises(ValueError, match=r"a/caf\\xe9.jpg: Not an image"):
        open_source(f"folder:{tmp_path}")


def test_a_class_of_bad_images_alone_is_refused(tmp_path):
    write(tmp_path, {"a/1.jpg": JPEG, "b/1.jpg": b"x"})
    with pytest.raises(ValueError, match="No image of the class b"):
        open_source(f"folder:{tmp_path}", skip_bad=True)


def test_files_that_break_later_are_named(tmp_path):
    write(tmp_path, {"a/1.jpg": JPEG, "b/1.jpg": JPEG})
    source = open_source(f"folder:{tmp_path}")
    (tmp_path / "b/1.jpg").write_bytes(b"x")
    assert source.damaged_files() == [str(tmp_path / "b/1.jpg")]


def test_sizes_are_of_the_upright_image(tmp_path):
    write(tmp_path, {"1.png": turned_by_exif()})
    sizes, bad = image_sizes([tmp_path / "1.png"])
    assert sizes == {tmp_path / "1.png": (20, 30)} and bad == {}


def test_large_photographs_are_decoded_and_serving_is_warned_of(tmp_path):
    write(tmp_path, {f"{n}/{i}.png": PNG for n in "ab" for i in range(3)})
    write(tmp_path, {"a/large.png": png(2, 20_000)})
    config = Config(dataset=f"folder:{tmp_path}")
    assert not [note for note in load_data(config).notes if "max_pixels" in note]
    (tmp_path / "a/large.png").write_bytes(png(4097, 4096))
    notes = load_data(config).notes
    assert "--max_pixels=16781312" in notes[-1]
