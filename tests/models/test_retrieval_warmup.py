import keras
import numpy as np
import pytest
from keras import ops

import keras_concatplexer as kcp
from keras_concatplexer.models.retrieval_warmup import normalized_patches
from keras_concatplexer.vit.sizes import ViTSize

IMAGE_SHAPE, NUM_CLASSES = (8, 8, 3), 3


def make_model(num_mux=2):
    vit = kcp.vit.keras_cv_vit(ViTSize(32, 2, 2, 64, 4), IMAGE_SHAPE, NUM_CLASSES)
    return kcp.ImageMultiplexerViT(vit, num_mux, demultiplexer="key")


def images(batch_size):
    shape = (batch_size, *IMAGE_SHAPE)
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def cross_entropy():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def test_patches_are_in_order_and_normalized():
    batch = images(2)
    patches = ops.convert_to_numpy(normalized_patches(batch, (2, 2)))
    assert patches.shape == (2, 4, 48)
    corner = batch[1, :4, 4:].reshape(48)
    expected = (corner - corner.mean()) / corner.std()
    np.testing.assert_allclose(patches[1, 1], expected, atol=1e-5)


def test_a_flat_patch_is_finite():
    patches = normalized_patches(np.ones((1, 8, 8, 3)), (2, 2))
    np.testing.assert_allclose(patches, 0, atol=1e-3)


def test_warmup_learns_and_trains_the_model_itself():
    model = make_model()
    before = model.get_layer("demultiplexer").get_weights()
    warmup = kcp.RetrievalWarmup(model)
    warmup.compile(keras.optimizers.AdamW(3e-3))
    # Else the first step is traced a second time.
    warmup.optimizer.build(warmup.trainable_variables)
    history = warmup.fit(images(8), batch_size=8, epochs=40, verbose=0).history
    assert history["retrieval_loss"] == pytest.approx(history["loss"], rel=1e-5)
    # 1 is what a decoder that knows nothing gets.
    assert history["loss"][-1] < 0.8
    after = model.get_layer("demultiplexer").get_weights()
    assert any(np.abs(a - b).max() > 0 for a, b in zip(after, before, strict=True))


def test_the_drawn_slot_is_compared_with_its_own_image():
    """With a decoder that is right for all slots, the loss is 0 for any draw."""
    warmup = kcp.RetrievalWarmup(make_model())
    batch = images(5)
    patches = normalized_patches(batch, (2, 2))
    # A class token, and "tokens" that are the patches: D = V = 48.
    tokens = ops.concatenate([ops.zeros((5, 1, 48)), patches], axis=1)
    warmup.decoder = keras.layers.Dense(48, kernel_initializer="identity")
    loss = warmup._compute_retrieval_loss(batch, tokens)
    np.testing.assert_allclose(loss, 0, atol=1e-10)
    wrong = warmup._compute_retrieval_loss(batch, tokens[::-1])
    assert wrong > 0.5


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("retrieval_weight", [0.1, 1.0])
def test_loss_is_the_weighted_mean_of_task_and_retrieval(retrieval_weight):
    warmup = kcp.RetrievalWarmup(make_model(num_mux=1), retrieval_weight)
    warmup.compile("sgd", cross_entropy())
    batch, labels = images(3), np.arange(3)
    scores = warmup.evaluate(batch, labels, verbose=0, return_dict=True)
    task = cross_entropy()(labels, warmup.model(batch))
    expected = (1 - retrieval_weight) * task + retrieval_weight * scores[
        "retrieval_loss"
    ]
    assert scores["loss"] == pytest.approx(float(expected), rel=1e-4)


def test_second_phase_keeps_the_decoder_and_mixes_the_losses():
    warmup = kcp.RetrievalWarmup(make_model())
    warmup.compile("adamw", run_eagerly=True)
    warmup.fit(images(5), batch_size=4, verbose=0)
    kernel = ops.convert_to_numpy(warmup.decoder.kernel)
    warmup.retrieval_weight = 0.1
    warmup.compile("adamw", cross_entropy(), metrics=["accuracy"], run_eagerly=True)
    np.testing.assert_array_equal(warmup.decoder.kernel, kernel)
    history = warmup.fit(images(5), np.arange(5) % 3, batch_size=4, verbose=0).history
    assert set(history) == {"loss", "accuracy", "retrieval_loss"}


def test_answers_are_those_of_the_model():
    model = make_model()
    warmup = kcp.RetrievalWarmup(model)
    np.testing.assert_allclose(warmup(images(3)), model(images(3)), atol=1e-6)


def test_keras_file_is_exact_and_goes_on_training(tmp_path):
    warmup = kcp.RetrievalWarmup(make_model(), retrieval_weight=0.1, seed=4)
    warmup.compile("adamw", cross_entropy(), run_eagerly=True)
    warmup.train_on_batch(images(4), np.arange(4) % 3)
    warmup.save(tmp_path / "warmup.keras")
    copy = keras.saving.load_model(tmp_path / "warmup.keras")
    assert (copy.retrieval_weight, copy.seed) == (0.1, 4)
    assert copy.get_config().keys() == warmup.get_config().keys()
    for a, b in zip(copy.get_weights(), warmup.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(copy.optimizer.variables, warmup.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.isfinite(copy.train_on_batch(images(4), np.arange(4) % 3)).all()


def test_concatplexer_without_reduction_can_warm_up():
    vit = make_model().vit
    model = kcp.ConcatPlexer(vit, num_mux=2, strides=1, kernel_size=1)
    warmup = kcp.RetrievalWarmup(model)
    assert warmup(images(3)).shape == (3, NUM_CLASSES)


def test_bad_arguments_are_refused():
    model = make_model()
    with pytest.raises(ValueError, match="must be a multiplexed ViT"):
        kcp.RetrievalWarmup(model.vit)
    for weight in 0, 1.5:
        with pytest.raises(ValueError, match="`retrieval_weight` must be"):
            kcp.RetrievalWarmup(model, weight)
    with pytest.raises(ValueError, match="a token per patch"):
        kcp.RetrievalWarmup(kcp.ConcatPlexer(model.vit, num_mux=2))
