"""A version of a model without a classifier: what it holds, and who reads it."""

import numpy as np
import pytest

import keras_concatplexer as kcp
from savedmodel_export import export
from savedmodel_export.model_card import read_model_card
from savedmodel_export.scoring.model import Model, ModelInfo

pytest.importorskip("keras_hub")


def test_what_is_for_classes_is_absent(make_served):
    served = make_served("features")
    files = {path.name for path in served.version.rglob("*")}
    assert "labels.txt" not in files
    assert {"tf_serving_warmup_requests", "batching_params.pbtxt"} <= files
    assert set(served.signatures) == {"serving_default", "serve_groups", "serve_bytes"}
    for function in served.signatures.values():
        assert set(function.structured_outputs) == {"features"}
    card = read_model_card(served.version)
    assert card["num_features"] == 32
    assert "num_classes" not in card
    assert card["fused"] is True


def test_every_signature_gives_the_features(make_served, pixels, encoded):
    served = make_served("features")
    images = pixels[:4].astype("float32")
    expected = served.live(images)
    for name, given in {
        "serving_default": images,
        "serve_groups": images.reshape(2, 2, 16, 16, 3),
        "serve_bytes": encoded[:4],
    }.items():
        found = served.answer(name, given)["features"].reshape(expected.shape)
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_classifier_gives_its_features_too(make_served, pixels):
    for kind in ("group", "plain"):
        served = make_served(kind)
        images = pixels[:4].astype("float32")
        expected = served.model.features(served.preprocessor(images))
        found = served.answer("serving_default", images)["features"]
        np.testing.assert_allclose(found, expected, atol=1e-4)
    assert read_model_card(served.version)["num_features"] == 32


def test_scoring_reads_it(make_served, encoded):
    served = make_served("features")
    info = ModelInfo(served.version)
    assert (info.class_names, info.answer) == (None, "features")
    positions, outputs, errors = Model(info, ("features",)).answer(encoded[:3])
    assert (positions, set(outputs), errors) == ([0, 1, 2], {"features"}, {})


def test_names_of_classes_are_refused(tiny_vit, tmp_path):
    vit = kcp.vit.with_classes(tiny_vit, None)
    preprocessor = kcp.preprocessing.ImagePreprocessor((16, 16, 3))
    with pytest.raises(ValueError, match="features has no classes.*class_names=None"):
        export(vit, preprocessor, ["cat"], tmp_path)
    with pytest.raises(ValueError, match="each of the model's 10 classes"):
        export(tiny_vit, preprocessor, None, tmp_path)
