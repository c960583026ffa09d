import numpy as np
import pytest

import keras_concatplexer as kcp
from benchmarks import trained

SHAPE = (16, 16, 1)


@pytest.fixture
def workdir(make_vit, tmp_path):
    """The least that a training run leaves behind."""

    def make(class_names=tuple("0123456789")):
        make_vit(image_shape=SHAPE).save(tmp_path / "best.keras")
        preprocessor = kcp.preprocessing.ImagePreprocessor(SHAPE)
        kcp.bundle.write_description(tmp_path, preprocessor, class_names)
        return tmp_path

    return make


def test_the_model_and_its_data(workdir, digits_dir):
    arguments = (workdir(), "digits", digits_dir)
    model, images, labels = trained.load_arrays(*arguments, "test[:100]")
    assert images.shape == (100, *SHAPE) and set(labels) == set(range(10))
    assert model(images[:3]).shape == (3, 10)
    _, first, _ = trained.load_arrays(*arguments, "test[:100]", limit=70)
    np.testing.assert_array_equal(first, images[:70])
    assert trained.num_images("digits", digits_dir, "test[:50]") == 50


@pytest.mark.parametrize(
    "dataset, split, message",
    [
        ("digit", "test", "Unknown dataset 'digit'"),
        ("digits", "tests", "Unknown split"),
        ("folder:nowhere", "test", "no such folder"),
    ],
)
def test_data_that_is_not_there(workdir, digits_dir, dataset, split, message):
    with pytest.raises(ValueError, match=message):
        trained.load_arrays(workdir(), dataset, digits_dir, split)


def test_a_run_on_other_data(workdir, digits_dir):
    folder = workdir(class_names=["cat", "dog"])
    with pytest.raises(ValueError, match="trained on other classes than those of"):
        trained.load_arrays(folder, "digits", digits_dir)


def test_no_run(tmp_path, digits_dir):
    with pytest.raises(ValueError, match="holds no trained model"):
        trained.load_arrays(tmp_path, "digits", digits_dir)
