import itertools

import keras
import numpy as np
import pytest

import keras_concatplexer as kcp
from keras_concatplexer.layers import SlotEmbedding


def test_layer(check_layer):
    outputs = check_layer(SlotEmbedding(2), (3, 2, 5, 8), (3, 2, 5, 8))
    assert np.abs(outputs).max() > 0


def test_starts_as_the_identity_and_then_tells_slots_apart():
    layer = SlotEmbedding(2)
    inputs = np.ones((1, 2, 3, 4), "float32")
    np.testing.assert_array_equal(layer(inputs), inputs)
    layer.embedding.assign(np.arange(8.0).reshape(2, 1, 4))
    added = np.asarray(layer(inputs)) - inputs
    np.testing.assert_array_equal(added[0, 0, 2], [0, 1, 2, 3])
    np.testing.assert_array_equal(added[0, 1, 0], [4, 5, 6, 7])


@pytest.mark.parametrize("num_mux", [0, -1, 1.5, True, "2"])
def test_refuses_what_is_no_positive_integer(num_mux):
    with pytest.raises(ValueError, match="`num_mux` must be a positive integer"):
        SlotEmbedding(num_mux)


def shuffled(num_mux, seed=0):
    layer = SlotEmbedding(num_mux, shuffle=True, seed=seed)
    layer.build((None, num_mux, 1, 1))
    # Slot i adds i.
    layer.embedding.assign(np.arange(float(num_mux)).reshape(num_mux, 1, 1))
    return layer


def test_shuffled_in_training_only(check_layer):
    check_layer(SlotEmbedding(2, shuffle=True, seed=3), (3, 2, 5, 8), (3, 2, 5, 8))
    layer, inputs = shuffled(4), np.zeros((3, 4, 2, 1), "float32")
    for arguments in ({}, {"training": False}):
        np.testing.assert_array_equal(layer(inputs, **arguments)[2, :, 1, 0], range(4))
    # The generator has a state, which is no weight: files stay as they are.
    assert len(layer.weights) == 1 and len(layer.variables) == 2


def test_every_group_draws_each_order_alike_and_anew_in_each_step():
    layer, inputs = shuffled(3), np.zeros((3000, 3, 2, 1), "float32")
    first, second = (np.asarray(layer(inputs, training=True)) for _ in range(2))
    # All tokens of an image get the same vector.
    np.testing.assert_array_equal(first[:, :, 0], first[:, :, 1])
    assert np.any(first != second)
    np.testing.assert_array_equal(shuffled(3)(inputs, training=True), first)
    orders, counts = np.unique(first[:, :, 0, 0], axis=0, return_counts=True)
    assert sorted(map(tuple, orders)) == list(itertools.permutations(range(3)))
    # 500 expected, standard deviation 20.
    assert np.abs(counts - 500).max() < 100


def test_a_model_trains_through_shuffled_slots(tiny_vit, images, tmp_path):
    model = kcp.ConcatPlexer(tiny_vit, num_mux=4, shuffle_slots=True, seed=5)
    plain = kcp.ConcatPlexer(tiny_vit, num_mux=4)
    assert len(model.trainable_weights) == len(plain.trainable_weights)
    assert [w.shape for w in model.non_trainable_variables] == [(2,)]
    assert plain.non_trainable_variables == []
    slots = model.get_layer("multiplexer").slot_embedding
    slots.embedding.assign(np.random.default_rng(0).normal(size=(4, 1, 16)))
    state = np.array(slots.seed_generator.state)
    answers = [np.asarray(model(images(4), training=True)) for _ in range(4)]
    # The group's training answers change with the order of its slots.
    assert max(np.abs(answer - answers[0]).max() for answer in answers) > 1e-3
    assert np.any(np.array(slots.seed_generator.state) != state)
    np.testing.assert_array_equal(model(images(4)), model(images(4)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # Two steps are done sooner than traced.
    model.compile("adam", loss, run_eagerly=True)
    before = np.asarray(slots.embedding)
    model.fit(images(6), np.arange(6), batch_size=3, verbose=0)
    assert np.all(np.any(np.asarray(slots.embedding) != before, axis=-1))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.shuffle_slots and loaded.seed == 5
    np.testing.assert_array_equal(loaded(images(5)), model(images(5)))
