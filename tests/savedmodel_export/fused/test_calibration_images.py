import json

import numpy as np
import PIL.Image
import pytest

from savedmodel_export.fused.calibration_images import (
    check_calibration,
    load_calibration,
)

SHAPE = (16, 16, 3)


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (40, *SHAPE), "uint8")


@pytest.fixture(scope="module")
def folder(pixels, tmp_path_factory):
    """Files of two classes: `a/00.png` ... `b/39.png`."""
    root = tmp_path_factory.mktemp("images")
    for index, image in enumerate(pixels):
        path = root / ("a" if index < 20 else "b") / f"{index:02d}.png"
        path.parent.mkdir(exist_ok=True)
        PIL.Image.fromarray(image).save(path)
    (root / "notes.txt").write_text("no image")
    return root


@pytest.fixture
def run(tmp_path):
    """Function that makes a workdir: its settings, and what it was trained on."""

    def make(config=None, trained_on=None):
        for name, content in (
            ("config.json", config),
            ("calibration.json", trained_on),
        ):
            if content is not None:
                (tmp_path / name).write_text(json.dumps(content))
        return tmp_path

    return make


def as_set(images):
    return {image.tobytes() for image in images}


def test_good_images_pass_as_bytes(pixels):
    checked = check_calibration(pixels.astype("float32"), SHAPE)
    np.testing.assert_array_equal(checked, pixels)
    assert checked.dtype == np.uint8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: None, "at least 32 images like those to come. Received: .*None"),
        (lambda p: p[:31], r"n >= 32. Received: shape=\(31, 16, 16, 3\)"),
        (lambda p: p[:, :8], r"\(n, 16, 16, 3\).*Received: shape=\(40, 8, 16, 3\)"),
        (
            lambda p: p / 255.0 - 0.5,
            "values from 0 to 255, .*Received: values from -0.5",
        ),
        (
            lambda p: p / 255.0,
            "before any preprocessing. Received: values from 0.0 to 1",
        ),
        (lambda p: np.where(p > 9, np.nan, p), "values from 0 to 255"),
        (lambda p: p * 0 + [7, 8, 9], r"one constant color.*first is \[7, 8, 9\]"),
        (lambda p: p * 0 + p[:, :1, :1], "of one constant color"),
        (lambda p: p[:1].repeat(40, 0), "32 different .* 1 different among 40"),
        (lambda p: p.astype(bool), "numbers. Received: bool"),
        (lambda p: [p[0], p[1, :3]], "Expected calibration images of shape"),
    ],
)
def test_images_that_tell_no_range_are_refused(pixels, change, message):
    with pytest.raises(ValueError, match=message):
        check_calibration(change(pixels), SHAPE)


def test_a_folder_of_files(folder, pixels):
    (folder / "._00.png").write_bytes(b"of a Mac")
    (folder / "folder.png").mkdir()
    images = load_calibration(str(folder), "none", SHAPE, 512)
    assert as_set(images) == as_set(pixels)
    few = load_calibration(str(folder), "none", SHAPE, 8)
    assert len(few) == 8
    # Of both classes.
    assert as_set(few) & as_set(pixels[:20]) and as_set(few) & as_set(pixels[20:])
    gray = load_calibration(str(folder), "none", (8, 8, 1), 4)
    assert gray.shape == (4, 8, 8, 1)


def test_the_files_that_were_trained_on(folder, pixels, run):
    files = [f"a/{index:02d}.png" for index in range(18)] + ["b/20.png"]
    workdir = run({"dataset": f"folder:{folder}"}, {"files": files})
    images = load_calibration("", workdir, SHAPE, 512)
    assert as_set(images) == as_set([*pixels[:18], pixels[20]])
    only_b = load_calibration("b", workdir, SHAPE, 512)
    assert as_set(only_b) == as_set(pixels[20:])
    run(trained_on={"files": ["a/lost.png"]})
    with pytest.raises(ValueError, match="cannot be read: .*lost.png.* Give --cal"):
        load_calibration("", workdir, SHAPE, 512)


@pytest.mark.parametrize("told", [{}, {"files": 3}, {"files": [["a"]]}, {"split": "x"}])
def test_a_file_that_tells_nothing(folder, run, told):
    workdir = run({"dataset": f"folder:{folder}"}, told)
    with pytest.raises(
        ValueError, match="calibration.json is damaged: expected 'files'"
    ):
        load_calibration("", workdir, SHAPE, 512)


def test_a_file_that_cannot_be_decoded(tmp_path):
    (tmp_path / "text.png").write_text("text")
    with pytest.raises(ValueError, match="text.png cannot be decoded: Not an image"):
        load_calibration(str(tmp_path), "none", SHAPE, 512)


def test_a_split_of_the_trainings_dataset(digits_dir, run):
    config = {"dataset": "digits", "data_dir": str(digits_dir)}
    workdir = run(config, {"split": "train[30:70]"})
    images = load_calibration("", workdir, SHAPE, 99)
    assert images.shape == (40, *SHAPE)
    assert images.std() > 10
    held_out = load_calibration("test", workdir, SHAPE, 40)
    assert as_set(images) != as_set(held_out)


@pytest.mark.parametrize(
    ("source", "config", "shape", "message"),
    [
        ("", {}, SHAPE, "does not tell the training's dataset"),
        ("val", {"dataset": "folder:{root}"}, SHAPE, "neither a folder nor a split"),
        ("", {"dataset": "mnist", "data_dir": "{root}"}, SHAPE, "is not prepared in"),
        ("", {"dataset": "digits"}, SHAPE, "does not tell which images it was trained"),
        ("{root}/empty", {}, SHAPE, "holds no image files"),
        ("{root}", {}, (16, 16, 4), "1 or 3 channels"),
    ],
)
def test_no_images_there(folder, run, source, config, shape, message):
    (folder / "empty").mkdir(exist_ok=True)
    config = {key: value.format(root=folder) for key, value in config.items()}
    workdir = run(
        config, None if "mnist" not in config.values() else {"split": "train"}
    )
    with pytest.raises(ValueError, match=message):
        load_calibration(source.format(root=folder), workdir, shape, 8)
