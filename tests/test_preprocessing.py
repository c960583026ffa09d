import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_concatplexer.preprocessing import ImagePreprocessor


def test_scales_and_normalises_per_channel():
    layer = ImagePreprocessor((4, 4, 3), mean=(0.5, 0.25, 0.0), std=(0.5, 0.5, 1.0))
    outputs = np.asarray(layer(np.full((2, 4, 4, 3), 255, "uint8")))
    assert outputs.dtype == "float32"
    np.testing.assert_allclose(outputs[1, 2, 3], [1.0, 1.5, 1.0], atol=1e-6)


def test_resizes_and_repeats_gray():
    layer = ImagePreprocessor((4, 4, 3))
    outputs = np.asarray(layer(np.full((9, 7, 1), 51, "uint8")))
    assert outputs.shape == (4, 4, 3)
    np.testing.assert_allclose(outputs, -0.6, atol=1e-6)


def test_works_in_tf_data_on_images_of_unknown_size():
    layer = ImagePreprocessor((4, 4, 1))

    def sizes():
        yield np.zeros((3, 5, 1), "uint8")
        yield np.zeros((8, 8, 1), "uint8")

    dataset = tf.data.Dataset.from_generator(
        sizes, output_signature=tf.TensorSpec((None, None, 1), tf.uint8)
    )
    batch = next(iter(dataset.map(layer).batch(2)))
    assert batch.shape == (2, 4, 4, 1)


def test_round_trip_and_precision(global_dtype_policy):
    global_dtype_policy("mixed_bfloat16")
    layer = ImagePreprocessor((4, 4, 1), mean=(0.1,), std=0.2)
    copy = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(layer)
    )
    image = np.random.default_rng(0).integers(0, 255, (2, 4, 4, 1)).astype("uint8")
    assert copy(image).dtype == "float32"
    np.testing.assert_array_equal(copy(image), layer(image))
    assert copy.get_config() == layer.get_config()


def test_errors():
    with pytest.raises(ValueError, match="`image_shape` must be"):
        ImagePreprocessor((4, 4))
    with pytest.raises(ValueError, match="`std` must not be 0"):
        ImagePreprocessor((4, 4, 3), std=(1.0, 0.0, 1.0))
    layer = ImagePreprocessor((4, 4, 3))
    for shape in ((4, 4), (4, 4, 2), (1, 1, 4, 4, 3)):
        with pytest.raises(ValueError, match=r"Expected images of shape \(height"):
            layer(np.zeros(shape, "uint8"))


def test_whole_numbers_will_do():
    layer = ImagePreprocessor((2, 2, 1), mean=0, std=1)
    assert (layer.mean, layer.std) == (0.0, 1.0)
    np.testing.assert_allclose(layer(np.full((2, 2, 1), 51)), 0.2, atol=1e-6)
    with pytest.raises(ValueError, match="one per channel, 3 of them"):
        ImagePreprocessor((2, 2, 3), mean=(0.5, 0.5))


def test_another_way_of_resizing():
    resizing = keras.layers.Resizing(2, 2, "nearest", crop_to_aspect_ratio=True)
    layer = ImagePreprocessor((2, 2, 1), mean=0, std=1 / 255, resizing=resizing)
    image = np.arange(32, dtype="uint8").reshape(4, 8, 1)
    np.testing.assert_allclose(layer(image), resizing(image), rtol=1e-6)
    copy = ImagePreprocessor.from_config(layer.get_config())
    np.testing.assert_array_equal(copy(image), layer(image))
    with pytest.raises(ValueError, match=r"`resizing` must give \(3, 3\)"):
        ImagePreprocessor((3, 3, 1), resizing=resizing)
