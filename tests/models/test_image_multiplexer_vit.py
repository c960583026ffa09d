import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_concatplexer as kcp
from keras_concatplexer.layers.image_multiplexer import TRANSFORMS
from keras_concatplexer.vit.sizes import ViTSize

SIZE, IMAGE_SHAPE, NUM_CLASSES = ViTSize(32, 2, 2, 64, 4), (8, 8, 3), 3
PAIRS = [
    *((t, d) for t in TRANSFORMS for d in ("index", "key", "mlp")),
    ("holographic", "unbind"),
]
ONE_PAIR_PER_DEMULTIPLEXER = [
    ("gaussian_hadamard", "index"),
    ("contextual", "key"),
    ("low_rank_orthogonal", "mlp"),
    ("holographic", "unbind"),
]


@functools.cache
def make_vit(policy="float32"):
    """One ViT for all models of a dtype policy: most of the time goes into it."""
    return kcp.vit.keras_cv_vit(SIZE, IMAGE_SHAPE, NUM_CLASSES)


def make_model(num_mux=2, transform="gaussian_hadamard", method="index", **options):
    vit = make_vit(keras.config.dtype_policy().name)
    return kcp.ImageMultiplexerViT(
        vit, num_mux, transform=transform, demultiplexer=method, **options
    )


def images(batch_size, seed=0):
    shape = (batch_size, *IMAGE_SHAPE)
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def cross_entropy(logits):
    labels = np.arange(len(logits)) % NUM_CLASSES
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return loss(labels, logits)


def no_gradient_expected(path, num_mux):
    """Weights of attention that no answer depends on, whatever the input.

    A bias on all keys shifts all scores alike, and the softmax takes it out; over
    a single token the softmax is 1, whatever queries and keys.
    """
    if "attention/key/bias" in path or "key_dense/bias" in path:
        return True
    alone = num_mux == 1 and "group_layer" in path
    return alone and ("attention/query" in path or "attention/key" in path)


@pytest.mark.parametrize(
    "transform, method, num_mux",
    [
        *((*pair, 2) for pair in PAIRS),
        *(
            (*pair, num_mux)
            for pair in ONE_PAIR_PER_DEMULTIPLEXER
            for num_mux in (1, 4)
        ),
    ],
)
def test_every_pair_trains_every_weight(transform, method, num_mux):
    model = make_model(
        num_mux, transform, method, trainable_keys=False, patchifier_depth=1
    )
    batch = images(5)
    with tf.GradientTape() as tape:
        logits = model(batch, training=True)
        loss = cross_entropy(logits)
    assert logits.shape == (5, NUM_CLASSES)
    weights = model.trainable_variables
    gradients = tape.gradient(loss, [weight.value for weight in weights])
    for weight, gradient in zip(weights, gradients, strict=True):
        assert gradient is not None, weight.path
        gradient = np.asarray(tf.convert_to_tensor(gradient))
        assert np.isfinite(gradient).all(), weight.path
        if not no_gradient_expected(weight.path, num_mux):
            assert np.abs(gradient).max() > 0, weight.path
    for weight, gradient in zip(weights, gradients, strict=True):
        weight.assign_sub(1e-4 * tf.convert_to_tensor(gradient))
    assert cross_entropy(model(batch)) < loss


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_trainable_keys_get_a_gradient(transform):
    model = make_model(2, transform, "key", trainable_keys=True)
    keys = [
        weight
        for weight in model.get_layer("multiplexer").trainable_weights
        if weight.name in ("keys", "phases", "matrices", "reading", "writing")
    ]
    assert keys
    with tf.GradientTape() as tape:
        loss = cross_entropy(model(images(4), training=True))
    for gradient in tape.gradient(loss, [weight.value for weight in keys]):
        assert np.abs(np.asarray(gradient)).max() > 0


@pytest.mark.parametrize(
    "transform, method",
    [
        ("holographic", "unbind"),
        *(
            pytest.param(*pair, marks=pytest.mark.large)
            for pair in ONE_PAIR_PER_DEMULTIPLEXER[:3]
        ),
    ],
)
def test_fit_any_batch_size(transform, method):
    model = make_model(2, transform, method)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adamw", loss, metrics=["accuracy"])
    # Else the first step is traced a second time.
    model.optimizer.build(model.trainable_variables)
    # Batches of 4 and, at the end, of 1.
    history = model.fit(images(5), np.arange(5) % 3, batch_size=4, verbose=0)
    assert np.isfinite(history.history["loss"][0])
    assert model.predict(images(3), verbose=0).shape == (3, NUM_CLASSES)


@pytest.mark.parametrize("transform, method", ONE_PAIR_PER_DEMULTIPLEXER)
def test_groups_are_independent_and_rows_are_in_order(transform, method):
    model = make_model(2, transform, method)
    batch = images(5)
    logits = np.asarray(model(batch))
    for start in 0, 2:
        group = np.asarray(model(batch[start : start + 2]))
        np.testing.assert_allclose(logits[start : start + 2], group, atol=1e-5)
    last = np.asarray(model(batch[[4, 0]]))
    np.testing.assert_allclose(logits[4:], last[:1], atol=1e-5)
    # Each slot answers for its own image: another image there, another answer.
    changed = np.array(batch)
    changed[1] = images(1, seed=7)
    difference = np.abs(np.asarray(model(changed)) - logits).max(axis=1)
    assert difference[1] > 1e-3
    np.testing.assert_allclose(difference[2:4], 0, atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_filler_is_the_start_of_the_batch(batch_size):
    model = make_model(4)
    batch = images(batch_size)
    full = batch[np.arange(4) % batch_size]
    expected = np.asarray(model(full))[:batch_size]
    np.testing.assert_allclose(np.asarray(model(batch)), expected, atol=1e-5)


@pytest.mark.parametrize("transform, method", ONE_PAIR_PER_DEMULTIPLEXER)
def test_keras_file_is_exact(transform, method, tmp_path):
    options = {"num_heads": 2} if transform == "contextual" else {}
    model = make_model(2, transform, method, patchifier_depth=1, seed=3, **options)
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    config, copied = model.get_config(), copy.get_config()
    # The ViT's own config has lists for tuples after a round trip.
    config.pop("vit"), copied.pop("vit")
    assert copied == config
    np.testing.assert_array_equal(copy(images(3)), model(images(3)))


def export_and_compare(model, folder):
    module = tf.Module()
    module.weights = [variable.value for variable in model.variables]
    spec = tf.TensorSpec((None, *IMAGE_SHAPE), tf.float32, name="images")

    @tf.function(input_signature=[spec])
    def serve(images):
        return {"logits": model(images, training=False)}

    module.serve = serve
    signatures = {"serving_default": serve.get_concrete_function()}
    tf.saved_model.save(module, str(folder), signatures=signatures)
    loaded = tf.saved_model.load(str(folder)).signatures["serving_default"]
    for batch_size in 1, 5:
        logits = loaded(images=tf.constant(images(batch_size)))["logits"]
        expected = np.asarray(model(images(batch_size)))
        np.testing.assert_allclose(logits, expected, atol=1e-5)


@pytest.mark.large
def test_export(tmp_path):
    export_and_compare(make_model(2, "contextual", "index"), tmp_path)


@pytest.mark.large
@pytest.mark.parametrize("num_mux", [1, 2, 4])
@pytest.mark.parametrize("transform, method", PAIRS)
def test_export_every_pair(transform, method, num_mux, tmp_path):
    export_and_compare(make_model(num_mux, transform, method), tmp_path)


@pytest.mark.parametrize("transform, method", ONE_PAIR_PER_DEMULTIPLEXER)
def test_mixed_precision(transform, method):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = make_model(2, transform, method)
        logits = model(images(3), training=True)
    finally:
        keras.config.set_dtype_policy("float32")
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    assert np.isfinite(np.asarray(logits)).all()
    assert model.get_layer("multiplexer").compute_dtype == "bfloat16"


def test_the_layers_are_those_of_the_vit():
    vit = make_vit()
    model = kcp.ImageMultiplexerViT(vit, 2, patchifier_depth=1)
    assert model.get_layer("block_1").layer is vit.get_layer("block_1")
    assert model.patchifier_depth == 1
    # One class and four patch tokens, behind one index token per slot.
    assert model.get_layer("multiplexer").output.shape == (None, 7, 32)
    assert model.get_layer("demultiplexer").output.shape == (None, 5, 32)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"method": "unbind"}, "fixed keys"),
        (
            {"method": "unbind", "transform": "holographic", "trainable_keys": True},
            "fixed keys",
        ),
        (
            {"method": "unbind", "transform": "holographic", "mlp_dim": 8},
            "`mlp_dim` is an option",
        ),
        ({"overlap": 0.5}, "`overlap` is an option"),
        ({"num_heads": 2}, "`num_heads` is an option"),
        ({"num_mux": 0}, "`num_mux` must be"),
        ({"transform": "fourier"}, "`transform` must be one of"),
        ({"method": "guess"}, "`method` must be one of"),
        ({"patchifier_depth": 3}, "`patchifier_depth` must be"),
        ({"seed": -1}, "`seed` must be"),
    ],
)
def test_bad_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make_model(**options)
