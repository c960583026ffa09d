"""An export in int8, from images to the answers of the C library."""

import keras
import numpy as np
import pytest

import keras_concatplexer as kcp
from savedmodel_export import export, exporter
from savedmodel_export.model_card import read_model_card
from savedmodel_export.verify.c_api import LoadedModel

NAMES = [f"class {i}" for i in range(10)]


@pytest.fixture(scope="module")
def pictures():
    """Images with coarse shapes, as uint8."""
    coarse = np.random.default_rng(0).integers(0, 256, (40, 4, 4, 3), "uint8")
    return coarse.repeat(4, 1).repeat(4, 2)


@pytest.fixture(scope="module")
def preprocessor():
    return kcp.preprocessing.ImagePreprocessor((16, 16, 3))


@pytest.fixture(scope="module")
def elastic(make_vit, scramble):
    keras.utils.set_random_seed(0)
    return kcp.ElasticConcatPlexer(scramble(make_vit()), num_mux=(2, 1))


@pytest.fixture(scope="module")
def version(elastic, pictures, preprocessor, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        # The tests compare the answers themselves.
        patch.setattr(exporter, "verify", lambda *_: None)
        return export(
            *(elastic, preprocessor, NAMES, tmp_path_factory.mktemp("int8")),
            precision="int8",
            calibration=pictures,
            int8_min_agreement=0.0,
        )


@pytest.fixture(scope="module")
def loaded(version):
    return LoadedModel(version)


def test_the_card_says_what_is_int8(version):
    card = read_model_card(version)
    assert (card["precision"], card["fused"]) == ("int8", True)
    assert card["int8"]["num_range_images"] == 30
    assert card["int8"]["num_checked_images"] == 10
    assert card["int8"]["products"]["block_0/qkv"] == "int8"
    assert 0 <= card["int8"]["agreement"] <= 1


@pytest.mark.parametrize("num_mux", [1, 2])
def test_the_c_library_answers_nearly_as_the_model(
    loaded, elastic, preprocessor, pictures, num_mux
):
    images = pictures.astype("float32")
    name = f"predict_n{num_mux}"
    answered = loaded.run(name, {"images": images})["logits"]
    expected = np.asarray(elastic.at(num_mux)(preprocessor(images)))
    assert np.abs(answered - expected).max() < 0.1 * np.abs(expected).max()


def test_the_groups_of_a_batch_do_not_touch_each_other(loaded, pictures):
    groups = pictures.astype("float32").reshape(20, 2, 16, 16, 3)
    joined = loaded.run("serve_groups", {"images": groups[:4]})["logits"]
    beside = loaded.run("serve_groups", {"images": groups[[0, 9, 10, 11]]})["logits"]
    np.testing.assert_array_equal(joined[0], beside[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"calibration": None}, "needs `calibration`"),
        ({"fuse": False}, "a form of the fused graph"),
        ({"int8_min_agreement": 2}, "`int8_min_agreement` must be a number from 0 to"),
        ({"precision": "fp16"}, "must be one of 'float32', 'bfloat16', 'int8'"),
        ({"precision": "bfloat16"}, "`calibration` belongs to precision='int8'"),
    ],
)
def test_what_int8_cannot_do(
    elastic, pictures, preprocessor, tmp_path, change, message
):
    with pytest.raises(ValueError, match=message):
        export(
            *(elastic, preprocessor, NAMES, tmp_path / "out"),
            **{"precision": "int8", "calibration": pictures, **change},
        )
    versions = (tmp_path / "out").glob("[0-9]*")
    assert not list(versions)


def test_a_model_without_a_fused_form(pictures, preprocessor, tmp_path):
    other = keras.Sequential(
        [keras.Input((16, 16, 3)), keras.layers.Flatten(), keras.layers.Dense(10)]
    )
    with pytest.raises(ValueError, match="needs a model that can be fused"):
        export(
            *(other, preprocessor, NAMES, tmp_path / "out"),
            precision="int8",
            calibration=pictures,
        )
