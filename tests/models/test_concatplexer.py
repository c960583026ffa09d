import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_concatplexer as kcp

SCOPES = ("group", "image")


def loss_and_gradients(model, inputs, labels):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    with tf.GradientTape() as tape:
        value = loss(labels, model(inputs, training=True))
    return value, tape.gradient(value, [v.value for v in model.trainable_variables])


@pytest.mark.parametrize(
    "num_mux, scope",
    [
        (2, "image"),
        (4, "group"),
        pytest.param(2, "group", marks=pytest.mark.large),
        pytest.param(4, "image", marks=pytest.mark.large),
    ],
)
def test_any_batch_size_gives_as_many_rows_in_order(
    make_vit, images, scramble, num_mux, scope
):
    model = kcp.ConcatPlexer(make_vit(), num_mux, attention_scope=scope)
    scramble(model)
    # A full group, or an image by itself, answers the same, whatever comes behind it.
    size = num_mux if scope == "group" else 1
    alone = [model(images(9)[i : i + size]) for i in range(0, 9, size)]
    alone = np.concatenate(alone)
    for batch_size in range(1, 10):
        logits = np.asarray(model(images(batch_size)))
        assert logits.shape == (batch_size, 10)
        full = batch_size // size * size
        np.testing.assert_allclose(logits[:full], alone[:full], atol=1e-5)


def test_the_last_group_is_filled_with_the_first_images(make_vit, images, scramble):
    model = scramble(kcp.ConcatPlexer(make_vit(), num_mux=4))
    inputs = images(6)
    filled = np.concatenate([inputs, inputs[:2]])
    np.testing.assert_allclose(model(inputs), model(filled)[:6], atol=1e-5)
    repeated = np.concatenate([inputs[:1]] * 4)
    np.testing.assert_allclose(model(inputs[:1]), model(repeated)[:1], atol=1e-5)


@pytest.mark.parametrize("scope", SCOPES)
def test_neighbours_matter_in_group_scope_only(make_vit, images, scramble, scope):
    model = scramble(kcp.ConcatPlexer(make_vit(), 2, attention_scope=scope))
    inputs = images(4)
    changed = inputs.copy()
    changed[1] = inputs[3]
    difference = np.abs(np.asarray(model(inputs)) - np.asarray(model(changed)))
    assert difference[1].max() > 1e-2
    assert difference[2:].max() < 1e-5
    if scope == "group":
        assert difference[0].max() > 1e-3
    else:
        assert difference[0].max() < 1e-5


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_one_image_without_reduction_is_the_vit(make_vit, images, scramble, depth):
    vit = scramble(make_vit())
    model = kcp.ConcatPlexer(vit, num_mux=1, patchifier_depth=depth)
    np.testing.assert_allclose(model(images(5)), vit(images(5)), atol=1e-5)
    assert len(model.weights) == len(vit.weights)


def test_the_layers_of_the_vit_are_shared(make_vit, images):
    vit = make_vit()
    model = kcp.ConcatPlexer(vit, num_mux=2)
    shared = {id(v) for v in vit.variables} & {id(v) for v in model.variables}
    assert len(shared) == len(vit.variables)
    before = np.asarray(vit(images(2)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, run_eagerly=True)
    model.train_on_batch(images(4), np.arange(4))
    assert np.abs(np.asarray(vit(images(2))) - before).max() > 0


@pytest.mark.parametrize("scope", SCOPES)
def test_every_trainable_weight_gets_a_gradient(make_vit, images, scramble, scope):
    model = scramble(kcp.ConcatPlexer(make_vit(), 2, attention_scope=scope))
    _, gradients = loss_and_gradients(model, images(5), np.arange(5))
    without = [
        variable.path
        for variable, gradient in zip(model.trainable_variables, gradients, strict=True)
        # A key's bias shifts all scores of a query alike: softmax ignores it.
        if (gradient is None or not np.any(tf.convert_to_tensor(gradient)))
        and "key/bias" not in variable.path
    ]
    assert without == []


def test_fit_evaluate_predict(make_vit, images):
    model = kcp.ConcatPlexer(make_vit(), num_mux=2)
    model.compile(
        keras.optimizers.Adam(3e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    # Else the first step is traced a second time.
    model.optimizer.build(model.trainable_variables)
    inputs, labels = images(15), np.arange(15) % 10
    losses = model.fit(inputs, labels, batch_size=5, epochs=8, verbose=0).history[
        "loss"
    ]
    assert losses[-1] < losses[0] / 2
    assert set(model.evaluate(inputs, labels, verbose=0, return_dict=True)) == {
        "accuracy",
        "loss",
    }
    np.testing.assert_allclose(
        model.predict(inputs, batch_size=4, verbose=0)[:4], model(inputs[:4]), atol=1e-5
    )


@pytest.mark.parametrize(
    "options",
    [
        {"reducer": "mean"},
        {"reducer": "tome"},
        {"reducer": "tome", "proportional_attention": True},
        {"reducer": "select"},
    ],
)
def test_reducers_train_and_round_trip(make_vit, images, scramble, tmp_path, options):
    vit = make_vit()
    model = kcp.ConcatPlexer(vit, num_mux=4, **options)
    assert model.get_layer("demultiplexer").output.shape == (None, 5, 32)
    # The ViT's weights and the slot embedding, and nothing twice.
    assert len(model.weights) == len(vit.weights) + 1
    _, gradients = loss_and_gradients(scramble(model), images(6), np.arange(6))
    assert all(gradient is not None for gradient in gradients)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(images(6)), model(images(6)))


@pytest.mark.parametrize("scope", SCOPES)
def test_keras_file_round_trip(make_vit, images, scramble, tmp_path, scope):
    vit = make_vit()
    vit.compile("adam", "mse")
    model = kcp.ConcatPlexer(
        vit, 2, patchifier_depth=1, strides=(2, 1), attention_scope=scope
    )
    scramble(model).save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(loaded, kcp.ConcatPlexer)
    np.testing.assert_array_equal(loaded(images(5)), model(images(5)))
    np.testing.assert_array_equal(loaded.vit(images(5)), model.vit(images(5)))
    own_arguments = [{**m.get_config(), "vit": None} for m in (loaded, model)]
    assert own_arguments[0] == own_arguments[1]


def test_config_has_the_constructor_arguments(same_vit):
    import inspect

    arguments = set(inspect.signature(kcp.ConcatPlexer).parameters)
    model = kcp.ConcatPlexer(same_vit, 2)
    assert set(model.get_config()) == arguments


def test_mixed_precision(make_vit, images, tmp_path, global_dtype_policy):
    global_dtype_policy("mixed_bfloat16")
    model = kcp.ConcatPlexer(make_vit(), num_mux=2)
    assert model.get_layer("multiplexer").compute_dtype == "bfloat16"
    assert model(images(3)).dtype == "float32"
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, run_eagerly=True)
    before = [np.asarray(w) for w in model.get_layer("multiplexer").weights]
    assert np.isfinite(model.train_on_batch(images(3), np.arange(3)))
    after = model.get_layer("multiplexer").weights
    assert all(np.any(a != b) for a, b in zip(after, before, strict=True))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(images(3)), model(images(3)))
    global_dtype_policy("float32")
    with pytest.raises(Exception, match="set_dtype_policy\\('mixed_bfloat16'\\)"):
        keras.saving.load_model(tmp_path / "model.keras")


def test_defaults(same_vit):
    model = kcp.ConcatPlexer(same_vit, num_mux=4)
    assert (model.patchifier_depth, model.strides, model.kernel_size) == (
        1,
        (2, 2),
        (2, 2),
    )


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"num_mux": 0}, "`num_mux` must be a positive integer"),
        ({"num_mux": 3}, "power of two. Received: num_mux=3"),
        ({"attention_scope": "batch"}, "one of 'group', 'image'"),
        ({"patchifier_depth": 3}, "from 0 to the ViT's number of blocks, 2"),
        ({"patchifier_depth": 1.0}, "patchifier_depth=1.0"),
        ({"strides": (5, 1)}, "`strides` must not be larger than the grid"),
        ({"reducer": "pool"}, "`reducer` must be one of"),
        ({"reducer": "select", "patchifier_depth": 0}, "must be at least 1"),
        ({"proportional_attention": True}, "Only the reducer 'tome' merges"),
        ({"shuffle_slots": True, "num_mux": 1}, "`shuffle_slots` needs slots"),
        (
            {"shuffle_slots": True, "attention_scope": "image"},
            "shuffle_slots=True, attention_scope='image', num_mux=2",
        ),
    ],
)
def test_errors(same_vit, kwargs, message):
    with pytest.raises(ValueError, match=message):
        kcp.ConcatPlexer(same_vit, **{"num_mux": 2, **kwargs})


def test_a_multiplexed_model_is_not_wrapped_again(same_vit):
    model = kcp.ConcatPlexer(same_vit, num_mux=2)
    with pytest.raises(ValueError, match="`vit` is multiplexed already"):
        kcp.ConcatPlexer(model, num_mux=2, patchifier_depth=1)


def test_several_n_are_another_model(same_vit):
    with pytest.raises(ValueError, match=r"`ElasticConcatPlexer\(vit, num_mux=\(1, 2"):
        kcp.ConcatPlexer(same_vit, (1, 2))


def test_image_scope_is_blind_to_a_neighbour_that_is_not_a_number(tiny_vit, images):
    model = kcp.ConcatPlexer(tiny_vit, 2, attention_scope="image")
    broken = images(4)
    broken[1] = np.nan
    logits = np.asarray(model(broken))
    np.testing.assert_allclose(
        logits[[0, 2, 3]], np.asarray(model(images(4)))[[0, 2, 3]], atol=1e-6
    )
    assert np.isnan(logits[1]).all()


def test_what_depends_on_n_is_asked_of_the_model(tiny_vit):
    group = kcp.ConcatPlexer(tiny_vit, 2)
    image = kcp.ConcatPlexer(tiny_vit, 2, attention_scope="image")
    elastic = kcp.ElasticConcatPlexer(tiny_vit, (1, 2))
    mixture = kcp.ImageMultiplexerViT(tiny_vit, 2)
    for model, mixes in ((group, True), (image, False), (elastic, True)):
        assert model.mixes_images is mixes is kcp.models.mixes_images(model)
    assert mixture.mixes_images and not elastic.at(1).mixes_images
    assert not kcp.models.mixes_images(tiny_vit)
    assert kcp.models.by_num_mux(image) == {2: image} == image.by_num_mux
    assert kcp.models.by_num_mux(tiny_vit) == {1: tiny_vit}
    assert kcp.models.by_num_mux(elastic) == {1: elastic.at(1), 2: elastic.at(2)}


def test_one_block_in_front_can_select(images):
    size = kcp.vit.ViTSize(16, 1, 2, 32, 4)
    vit = kcp.vit.keras_cv_vit(size, (16, 16, 3), 10)
    model = kcp.ConcatPlexer(vit, 2, reducer="select")
    assert model.patchifier_depth == 1
    assert model(images(3)).shape == (3, 10)


def test_features_alone_are_not_saved(same_vit, tmp_path):
    model = kcp.ConcatPlexer(same_vit, 2)
    with pytest.raises(ValueError, match="belong to a ViT, .*with_classes"):
        model.features.save(tmp_path / "features.keras")
