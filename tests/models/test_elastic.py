import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_concatplexer as kcp

NUM_MUX = (1, 2, 4)


@pytest.fixture
def elastic(make_vit, scramble):
    def make(num_mux=NUM_MUX, **options):
        return scramble(kcp.ElasticConcatPlexer(make_vit(), num_mux, **options))

    return make


def copied(model, num_mux, make_vit, **options):
    """An independent single-N model with the weights of an elastic one."""
    alone = kcp.ConcatPlexer(make_vit(), num_mux, **options)
    for source, target in zip(model.at(num_mux).weights, alone.weights, strict=True):
        target.assign(source)
    return alone


@pytest.mark.parametrize(
    "scope", ["group", pytest.param("image", marks=pytest.mark.large)]
)
def test_each_n_equals_an_independent_model_with_its_weights(
    elastic, make_vit, images, scope
):
    model = elastic(attention_scope=scope, own_norm=True)
    for n in NUM_MUX:
        options = {"attention_scope": scope, "own_norm": n > 1}
        alone = copied(model, n, make_vit, **options)
        for batch_size in (1, 5, 8):
            np.testing.assert_allclose(
                model.at(n)(images(batch_size)), alone(images(batch_size)), atol=1e-5
            )
    inputs = images(6)
    np.testing.assert_array_equal(model(inputs), model.at(1)(inputs))
    np.testing.assert_allclose(model(inputs), model.vit(inputs), atol=1e-5)


def test_the_models_share_all_but_multiplexer_and_norm(elastic):
    model = elastic(own_norm=True)
    shared = {id(weight) for weight in model.vit.weights}
    own = [
        {w.path for w in model.at(n).weights if id(w) not in shared} for n in NUM_MUX
    ]
    assert not own[0]
    assert (
        own[1]
        == own[2]
        == {
            "multiplexer/reduction/convolution/kernel",
            "multiplexer/reduction/convolution/bias",
            "multiplexer/slot_embedding/embedding",
            "own_norm/gamma",
            "own_norm/beta",
        }
    )
    assert len(model.weights) == len(shared) + 2 * 5
    assert model.at(4).norm is not model.at(2).norm


def test_training_answers_each_part_by_its_own_n(elastic, images):
    model, inputs = elastic(), images(12)
    # 12 images in equal shares of whole groups: 4 for each N.
    expected = [model.at(n)(inputs[4 * i : 4 * i + 4]) for i, n in enumerate(NUM_MUX)]
    logits = model(inputs, training=True)
    np.testing.assert_allclose(logits, np.concatenate(expected), atol=1e-5)


def test_every_weight_gets_a_gradient_at_any_batch_size(elastic, images):
    model = elastic(own_norm=True)

    @tf.function(input_signature=[tf.TensorSpec((None, *model.input_shape[1:]))])
    def gradients(inputs):
        weights = [weight.value for weight in model.trainable_variables]
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(model(inputs, training=True)))
        found = tape.gradient(loss, weights)
        return [tf.convert_to_tensor(gradient) for gradient in found]

    for batch_size in (1, 2, 3, 16):
        found = [gradient.numpy() for gradient in gradients(images(batch_size))]
        assert all(np.isfinite(gradient).all() for gradient in found)
    for weight, gradient in zip(model.trainable_variables, found, strict=True):
        assert np.abs(gradient).max() > 0, weight.path


@pytest.mark.usefixtures("eager")
def test_fit_evaluate_predict_with_a_last_batch_of_one(elastic, images):
    model, labels = elastic(in_place_weight=1.0), np.arange(9) % 10
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    history = model.fit(images(9), labels, batch_size=4, epochs=3, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]
    single = model.at(num_mux=4)
    assert set(single.evaluate(images(9), labels, return_dict=True, verbose=0)) == {
        "loss",
        "accuracy",
    }
    assert single.predict(images(9), verbose=0).shape == (9, 10)


def test_the_distillation_loss_teaches_the_others_only(elastic, images):
    model, inputs = elastic(in_place_weight=0.5), images(12)
    with tf.GradientTape() as tape:
        logits = model(inputs, training=True)
        loss = tf.add_n(model.losses)
    teacher = tf.nn.softmax(model.at(1)(inputs) / 2.0)
    student = tf.nn.softmax(logits / 2.0)
    expected = 0.5 * 4 * keras.losses.kl_divergence(teacher, student) / 12
    np.testing.assert_allclose(loss, tf.reduce_sum(expected[4:]), rtol=1e-4)
    # The teacher's own logits get no gradient: at the student's place, none is left.
    kernel = model.at(4).get_layer("multiplexer").slot_embedding.embedding
    assert tape.gradient(loss, kernel.value) is not None
    model(inputs, training=False)
    assert not model.losses


def test_no_distillation_no_loss(elastic, images):
    model = elastic()
    model(images(8), training=True)
    assert not model.losses


@pytest.mark.parametrize("options", [{"reducer": "tome", "own_norm": True}])
def test_round_trip(elastic, images, tmp_path, options):
    options = {"num_mux_weights": (0.5, 0.3, 0.2), **options}
    model = elastic(**options)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(loaded, kcp.ElasticConcatPlexer)
    config, expected = loaded.get_config(), model.get_config()
    assert config.pop("vit") and expected.pop("vit")
    assert config == expected
    assert len(loaded.weights) == len(model.weights)
    for n in NUM_MUX:
        np.testing.assert_array_equal(loaded.at(n)(images(5)), model.at(n)(images(5)))
    loaded.at(2).save(tmp_path / "single.keras")
    single = keras.saving.load_model(tmp_path / "single.keras")
    np.testing.assert_array_equal(single(images(5)), model.at(2)(images(5)))


def test_any_order_and_without_one(elastic, images):
    model = elastic(num_mux=(4, 2))
    np.testing.assert_array_equal(model(images(5)), model.at(4)(images(5)))
    assert model(images(5), training=True).shape == (5, 10)


@pytest.mark.large
def test_mixed_precision(make_vit, images, global_dtype_policy):
    global_dtype_policy("mixed_bfloat16")
    model = kcp.ElasticConcatPlexer(make_vit(), NUM_MUX, own_norm=True)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(images(8), np.arange(8), batch_size=8, verbose=0)
    assert model.at(2).get_layer("multiplexer").compute_dtype == "bfloat16"


@pytest.mark.parametrize(
    "options, message",
    [
        ({"num_mux": ()}, "must be different positive integers"),
        ({"num_mux": (1, 1)}, "must be different positive integers"),
        ({"num_mux": (1, 0)}, "positive integer"),
        ({"strides": (1, 2)}, "one value per N, 3 values"),
        ({"num_mux_weights": (1, 1)}, "3 positive numbers"),
        ({"in_place_weight": -1}, "at least 0"),
        ({"num_mux": (2, 4), "in_place_weight": 1}, "1 must be in `num_mux`"),
        ({"attention_scope": "none"}, "attention_scope"),
    ],
)
def test_bad_arguments(same_vit, options, message):
    with pytest.raises(ValueError, match=message):
        kcp.ElasticConcatPlexer(same_vit, **{"num_mux": NUM_MUX, **options})


def test_an_unknown_n(elastic):
    with pytest.raises(ValueError, match=r"num_mux=\(1, 2, 4\). Received: num_mux=3"):
        elastic().at(3)


@pytest.mark.usefixtures("eager")
def test_at_is_compiled_as_its_parent(tiny_vit, images):
    model = kcp.ElasticConcatPlexer(tiny_vit, (1, 2))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-2), loss, metrics=["accuracy"])
    single = model.at(num_mux=2)
    before = single.evaluate(images(4), np.arange(4), verbose=0, return_dict=True)
    assert set(before) == {"loss", "accuracy"}
    single.fit(images(4), np.arange(4), epochs=3, verbose=0)
    after = single.evaluate(images(4), np.arange(4), verbose=0, return_dict=True)
    assert after["loss"] < before["loss"]
    assert single.optimizer.learning_rate == model.optimizer.learning_rate
    model.fit(images(4), np.arange(4), verbose=0)


@pytest.mark.usefixtures("eager")
def test_a_file_keeps_the_compilation(tiny_vit, images, tmp_path):
    model = kcp.ElasticConcatPlexer(tiny_vit, (1, 2))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    model.fit(images(4), np.arange(4), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.optimizer.iterations == 1
    for saved, found in zip(
        model.optimizer.variables, loaded.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(saved, found)
    assert loaded.at(2).evaluate(images(4), np.arange(4), verbose=0)


@pytest.mark.parametrize("weights", [(0, 0, 0), 0.5, ("a", "b", "c"), (1, -1, 2)])
def test_bad_shares_are_refused(same_vit, weights):
    with pytest.raises(ValueError, match="`num_mux_weights` must be 3 positive"):
        kcp.ElasticConcatPlexer(same_vit, NUM_MUX, num_mux_weights=weights)
