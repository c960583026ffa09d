"""What every image classifier checks and keeps, on multiplexed models and ViTs."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_concatplexer as kcp


def compiled(model):
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


# === Images ===


class Batches(keras.utils.PyDataset):
    """Batches of four images, the last one smaller."""

    def __init__(self, images):
        super().__init__()
        self.images = images

    def __len__(self):
        return -(-len(self.images) // 4)

    def __getitem__(self, index):
        images = self.images[4 * index : 4 * index + 4]
        return images, np.arange(len(images))


@pytest.mark.parametrize(
    "kind",
    ["concat"]
    + [pytest.param(kind, marks=pytest.mark.large) for kind in ("vit", "elastic")],
)
def test_generators_and_ragged_datasets_fit(tiny_vit, images, kind):
    model = {
        "vit": lambda: tiny_vit,
        "concat": lambda: kcp.ConcatPlexer(tiny_vit, 2),
        "elastic": lambda: kcp.ElasticConcatPlexer(tiny_vit, (1, 2)),
    }[kind]()
    batches = Batches(images(6))
    generator = (batches[index] for index in (0, 1))
    compiled(model)
    # Else the first step is traced a second time.
    model.optimizer.build(model.trainable_variables)
    model.fit(generator, steps_per_epoch=2, verbose=0)
    history = model.fit(batches, verbose=0).history
    assert np.isfinite(history["loss"]).all()


@pytest.mark.parametrize("shape", [(16, 16, 1), (8, 8, 3)])
def test_images_of_another_shape_are_refused(tiny_vit, shape):
    for model in (tiny_vit, kcp.ConcatPlexer(tiny_vit, num_mux=2)):
        with pytest.raises(ValueError) as error:
            model(np.zeros((2, *shape), "float32"))
        message = str(error.value)
        assert message.startswith("Expected images of shape (batch_size, 16, 16, 3)")
        assert message.endswith(f"Received: shape={(2, *shape)}")


def test_one_image_and_none_are_refused(tiny_vit, images):
    model = kcp.ConcatPlexer(tiny_vit, num_mux=2)
    unbatched = tf.data.Dataset.from_tensor_slices(images(2))
    message = r"Expected images of shape \(batch_size, 16, 16, 3\), one at least"
    for given in (
        lambda: model(images(1)[0]),
        lambda: model(images(0)),
        lambda: model.predict(images(0)),
    ):
        with pytest.raises(ValueError, match=message):
            given()
    with pytest.raises(ValueError, match=message):
        model.predict(unbatched, verbose=0)


def test_pixels_are_warned_of(tiny_vit, images):
    model = kcp.ConcatPlexer(tiny_vit, num_mux=2)
    pixels = np.full((2, 16, 16, 3), 200, "uint8")
    for given in (pixels, pixels.astype("float32")):
        with pytest.warns(UserWarning, match="pixels from 0 to 255"):
            model.predict(given, verbose=0)


# === Freezing ===


OWN = ("block_1", "multiplexer", "own_norm")


def freeze(model, what):
    if what == "model":
        model.trainable = False
    elif what == "vit":
        model.vit.trainable = False
    else:
        model.vit.get_layer("block_0").attn.trainable = False
        for name in OWN:
            model.get_layer(name).trainable = False


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("what", ["layers", "vit", "model"])
def test_a_file_keeps_the_freezing_and_the_optimizers_state(
    tiny_vit, images, tmp_path, what
):
    model = kcp.ConcatPlexer(tiny_vit, 2, own_norm=True)
    freeze(model, what)
    compiled(model)
    if what != "model":
        model.train_on_batch(images(4), np.arange(4))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for name in ("weights", "optimizer.variables"):
        pairs = [getattr_path(m, name) for m in (model, loaded)]
        for saved, found in zip(*pairs, strict=True):
            np.testing.assert_array_equal(saved, found)
    again = type(loaded).from_config(loaded.get_config())
    flags = [[w.trainable for w in m.weights] for m in (model, loaded, again)]
    assert flags[0] == flags[1] == flags[2]
    assert len(model.trainable_weights) == len(loaded.trainable_weights)
    assert loaded.trainable == (what != "model")
    if what == "layers":
        assert not any(loaded.get_layer(name).trainable for name in OWN)


def getattr_path(model, path):
    for name in path.split("."):
        model = getattr(model, name)
    return model


def test_an_elastic_model_keeps_what_is_frozen_at_each_n(tiny_vit, tmp_path):
    model = kcp.ElasticConcatPlexer(tiny_vit, (1, 2))
    model.at(2).get_layer("multiplexer").trainable = False
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert not loaded.at(2).get_layer("multiplexer").trainable
    assert len(loaded.trainable_weights) == len(model.trainable_weights)


def test_a_plain_vit_keeps_its_freezing(tiny_vit, tmp_path):
    tiny_vit.get_layer("block_0").trainable = False
    tiny_vit.save(tmp_path / "vit.keras")
    loaded = keras.saving.load_model(tmp_path / "vit.keras")
    assert not loaded.get_layer("block_0").trainable
    assert len(loaded.trainable_weights) == len(tiny_vit.trainable_weights)


# === Quantization ===


@pytest.mark.large
@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`")
def test_a_quantized_model_is_saved_and_not_read(images, tmp_path):
    size = kcp.vit.ViTSize(8, 1, 2, 8, 8)
    vit = kcp.vit.keras_cv_vit(size, (16, 16, 3), 2)
    model = kcp.ImageMultiplexerViT(vit, 2, transform="contextual")
    model.quantize("int8")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(images(3)), model(images(3)))
    with pytest.raises(ValueError, match=r"is quantized \(int8\)"):
        model.stages.check_plain_weights()
    with pytest.raises(ValueError, match="`filters` cannot be kept"):
        model.quantize("int8", filters="head")


# === Features ===


def wrapped(vit):
    yield vit
    yield kcp.ConcatPlexer(vit, num_mux=2)
    yield kcp.ElasticConcatPlexer(vit, num_mux=(2, 1), own_norm=True)
    yield kcp.ImageMultiplexerViT(vit, num_mux=2)


def test_features_stand_in_front_of_the_head(tiny_vit, images, scramble):
    scramble(tiny_vit)
    bare = kcp.vit.with_classes(tiny_vit, None)
    for model, other in zip(wrapped(tiny_vit), wrapped(bare), strict=True):
        features = model.features(images(5))
        assert features.shape == (5, 16) and features.dtype == "float32"
        head = tiny_vit.get_layer("head")
        np.testing.assert_allclose(head(features), model(images(5)), atol=1e-5)
        if isinstance(model, kcp.ImageMultiplexerViT):
            # They start at random.
            for name in ("multiplexer", "demultiplexer"):
                mine = model.get_layer(name).get_weights()
                other.get_layer(name).set_weights(mine)
        # Without a classifier they are the output.
        assert other.output_shape == (None, 16)
        np.testing.assert_allclose(other(images(5)), features, atol=1e-5)
        np.testing.assert_array_equal(other.features(images(5)), other(images(5)))


def test_features_share_the_weights(tiny_vit, images):
    model = kcp.ConcatPlexer(tiny_vit, num_mux=2)
    before = model.features(images(2))
    assert model.features is model.features
    norm = tiny_vit.get_layer("final_norm")
    norm.beta.assign(norm.beta + 1)
    np.testing.assert_allclose(model.features(images(2)), before + 1, atol=1e-5)


@pytest.mark.parametrize("normalize", [False, True])
def test_a_file_of_features_is_exact(normalize, images, tmp_path):
    size = kcp.vit.ViTSize(16, 2, 2, 32, 4)
    vit = kcp.vit.keras_cv_vit(size, (16, 16, 3), None, normalize=normalize)
    model = kcp.ElasticConcatPlexer(vit, num_mux=(2, 1))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    found = model(images(5))
    np.testing.assert_array_equal(loaded(images(5)), found)
    lengths = np.linalg.norm(found, axis=-1)
    assert np.allclose(lengths, 1, atol=1e-5) == normalize


def test_what_is_for_classes_is_refused(images):
    size = kcp.vit.ViTSize(16, 2, 2, 32, 4)
    vit = kcp.vit.keras_cv_vit(size, (16, 16, 3), None)
    with pytest.raises(ValueError, match="`in_place_weight` compares logits"):
        kcp.ElasticConcatPlexer(vit, (1, 2), in_place_weight=0.5)
    with pytest.raises(ValueError, match="`interference` compares classes"):
        kcp.analysis.interference(
            kcp.ConcatPlexer(vit, 2), images(4), np.zeros(4, int), num_draws=2
        )
    with pytest.raises(ValueError, match="`normalize` is for features"):
        kcp.vit.keras_cv_vit(size, (16, 16, 3), 3, normalize=True)
