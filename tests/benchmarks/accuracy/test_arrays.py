import dataclasses

import numpy as np
import pytest

from benchmarks.accuracy.arrays import RawArrays, load, read_npz, read_tfds, save_npz


@pytest.fixture
def raw():
    rng = np.random.default_rng(0)
    return RawArrays(
        "tiny",
        rng.integers(256, size=(6, 8, 8, 3), dtype="uint8"),
        rng.integers(4, size=6),
        rng.integers(256, size=(3, 8, 8, 3), dtype="uint8"),
        rng.integers(4, size=3),
        num_classes=4,
        side=16,
    )


def test_a_file_gives_back_what_was_saved(tmp_path, raw):
    path = tmp_path / "new" / "tiny.npz"
    save_npz(path, raw)
    for name, value in vars(read_npz(path)).items():
        np.testing.assert_array_equal(value, getattr(raw, name))
        assert type(value) is type(getattr(raw, name))


def test_models_see_preprocessed_images_of_the_wanted_number(tmp_path, raw):
    path = str(tmp_path / "tiny.npz")
    save_npz(path, raw)
    arrays = load(path, num_train=4)
    assert arrays.train_images.shape == (4, 16, 16, 3)
    assert arrays.test_images.shape == (3, 16, 16, 3)
    assert arrays.image_shape == (16, 16, 3) and arrays.train_labels.shape == (4,)
    assert -1 <= arrays.train_images.min() < arrays.train_images.max() <= 1
    with pytest.raises(ValueError, match="7 train images wanted, but .* has 6"):
        load(path, num_train=7)


def test_files_that_are_no_data_are_refused(tmp_path, raw):
    with pytest.raises(ValueError, match="There is no file"):
        load(str(tmp_path / "none.npz"))
    path = tmp_path / "part.npz"
    stored = dataclasses.asdict(raw)
    del stored["side"], stored["test_labels"]
    np.savez(path, **stored)
    with pytest.raises(ValueError, match="lacks side, test_labels"):
        load(str(path))


def test_digits_are_shown_at_twice_their_side(digits_dir):
    raw = read_tfds("digits", digits_dir)
    assert raw.train_images.shape[1:] == (8, 8, 1) and raw.side == 16
    assert raw.train_images.dtype == "uint8" and raw.num_classes == 10
