import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_concatplexer as kcp


def test_every_layer_has_its_stage():
    vit = kcp.vit.keras_cv_vit("vit_nano4", (16, 16, 3), 10)
    model = kcp.ConcatPlexer(vit, num_mux=2, patchifier_depth=2)
    stages = model.layer_stages
    assert stages == {
        "embedding": "embedding",
        "block_0": "patchifier",
        "block_1": "patchifier",
        "multiplexer": "multiplexer",
        "block_2": "backbone",
        "block_3": "backbone",
        "block_4": "backbone",
        "block_5": "backbone",
        "demultiplexer": "demultiplexer",
        "final_norm": "head",
        "head": "head",
    }
    assert set(stages) <= {layer.name for layer in model.layers}
    assert list(dict.fromkeys(stages.values())) == [
        "embedding",
        "patchifier",
        "multiplexer",
        "backbone",
        "demultiplexer",
        "head",
    ]


def concat(vit):
    return kcp.ConcatPlexer(vit, 2)


def elastic(vit):
    return kcp.ElasticConcatPlexer(vit, (2, 1))


@pytest.mark.parametrize("make", [concat, elastic, kcp.models.ImageMultiplexerViT])
def test_the_outputs_of_layers_are_those_of_the_model(tiny_vit, images, make):
    model = make(tiny_vit) if make in (concat, elastic) else make(tiny_vit, 2)
    single = model.at(2) if make is elastic else model
    tensor = model.get_layer("final_norm").output
    features = np.asarray(keras.Model(model.input, tensor)(images(4)))
    assert features.shape == (4, 16)
    logits = single.stages.head(features)
    np.testing.assert_allclose(logits, model(images(4)), atol=1e-5)
    np.testing.assert_array_equal(features, single.features(images(4)))
    other = keras.Model(model.input, keras.layers.Dense(3)(tensor))
    assert other(images(3)).shape == (3, 3)
    more = keras.Model(model.input, keras.layers.Dense(3)(model.output))
    assert more(images(3)).shape == (3, 3)


@pytest.mark.parametrize(
    "make", [concat, pytest.param(elastic, marks=pytest.mark.large)]
)
def test_export_of_keras(tiny_vit, images, make, tmp_path):
    model = make(tiny_vit)
    model.export(tmp_path / "model", verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    np.testing.assert_allclose(loaded.serve(images(3)), model(images(3)), atol=1e-5)


@pytest.mark.usefixtures("eager")
def test_features_are_distilled_by_keras(tiny_vit, images):
    teacher = kcp.vit.with_classes(tiny_vit, 10)
    features = keras.distillation.FeatureDistillation(
        loss="mse", teacher_layer_name="final_norm", student_layer_name="final_norm"
    )
    distiller = keras.distillation.Distiller(teacher, concat(tiny_vit), features)
    distiller.compile("adam", keras.losses.SparseCategoricalCrossentropy())
    history = distiller.fit(images(4), np.arange(4), verbose=0).history
    assert np.isfinite(history["loss"]).all()
