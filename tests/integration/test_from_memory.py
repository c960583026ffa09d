"""From `model.fit` to a served version in a few lines, without a training run."""

import numpy as np
import pytest
import tensorflow as tf

import keras_concatplexer as kcp
from savedmodel_export import export

WRAPPERS = {
    "vit": lambda vit: vit,
    "concatplexer": lambda vit: kcp.ConcatPlexer(vit, num_mux=2),
    "elastic": lambda vit: kcp.ElasticConcatPlexer(vit, num_mux=(1, 2)),
}
large = pytest.mark.large


@pytest.mark.parametrize(
    "kind",
    [
        "concatplexer",
        pytest.param("vit", marks=large),
        pytest.param("elastic", marks=large),
    ],
)
def test_fit_export_load(tiny_vit, tmp_path, kind):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), "uint8")
    model = WRAPPERS[kind](tiny_vit)
    preprocessor = kcp.preprocessing.ImagePreprocessor((16, 16, 3))
    images, labels = np.asarray(preprocessor(pixels)), np.arange(8) % 10
    model.compile("adamw", "sparse_categorical_crossentropy")
    model.fit(images, labels, batch_size=4, verbose=0)
    names = [f"digit {i}" for i in range(10)]
    version = export(model, preprocessor, names, tmp_path / "digits")

    served = tf.saved_model.load(str(version))
    given = tf.constant(pixels, tf.float32)
    expected = np.asarray(model(images, training=False))

    # Inside a function too: the loaded object keeps the variables alive.
    @tf.function
    def answer(given):
        return served.signatures["serving_default"](given)

    for outputs in (served.signatures["serving_default"](given), answer(given)):
        np.testing.assert_allclose(outputs["logits"], expected, atol=1e-4)
    assert (tmp_path / "digits" / "serving" / "serve.sh").exists()


@large
@pytest.mark.parametrize("change", ["quantize", "lora"])
def test_kernels_that_are_not_all_of_a_layer(tiny_vit, tmp_path, change):
    preprocessor = kcp.preprocessing.ImagePreprocessor((16, 16, 3))
    pixels = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), "uint8")
    head = tiny_vit.layers[-1]
    if change == "quantize":
        head.quantize("int8")
    else:
        head.enable_lora(2)
        head.lora_kernel_b.assign(np.ones(head.lora_kernel_b.shape))
    version = export(tiny_vit, preprocessor, [*"0123456789"], tmp_path)
    served = tf.saved_model.load(str(version))
    images = tf.constant(pixels, tf.float32)
    logits = served.signatures["serving_default"](images)["logits"]
    expected = np.asarray(tiny_vit(preprocessor(pixels), training=False))
    np.testing.assert_allclose(logits, expected, atol=1e-4)


@large
def test_a_head_of_zeros(tiny_vit, tmp_path):
    for weight in tiny_vit.layers[-1].weights:
        weight.assign(np.zeros(weight.shape))
    preprocessor = kcp.preprocessing.ImagePreprocessor((16, 16, 3))
    version = export(tiny_vit, preprocessor, [*"0123456789"], tmp_path)
    assert version.name == "1"


def test_weights_that_are_not_finite(tiny_vit, tmp_path):
    kernel = tiny_vit.layers[-1].weights[0]
    kernel.assign(np.full(kernel.shape, np.nan))
    preprocessor = kcp.preprocessing.ImagePreprocessor((16, 16, 3))
    with pytest.raises(ValueError, match="values that are not finite"):
        export(tiny_vit, preprocessor, [*"0123456789"], tmp_path)
    assert not (tmp_path / "1").exists()
