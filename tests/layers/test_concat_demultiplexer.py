import keras
import numpy as np
import pytest

from keras_concatplexer.layers import ConcatDemultiplexer, ConcatMultiplexer


def test_layer(check_layer):
    reference = np.zeros((5, 1))
    check_layer(ConcatDemultiplexer(2), (3, 18, 8), (5, 9, 8), reference=reference)


@pytest.mark.parametrize("num_mux", [1, 2, 4])
@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_undoes_the_concatenation(batch_size, num_mux):
    tokens = np.random.default_rng(0).normal(size=(batch_size, 17, 8))
    tokens = tokens.astype("float32")
    multiplexer = ConcatMultiplexer(num_mux, (4, 4), strides=1)
    sequence = multiplexer(tokens)
    outputs = ConcatDemultiplexer(num_mux)(sequence, reference=tokens)
    np.testing.assert_array_equal(outputs, tokens)


def test_symbolic_shape():
    sequence, reference = keras.KerasTensor((None, 18, 8)), keras.KerasTensor((None, 4))
    outputs = ConcatDemultiplexer(2)(sequence, reference=reference)
    assert outputs.shape == (None, 9, 8)


def test_errors():
    with pytest.raises(ValueError, match="images_per_sequence=0"):
        ConcatDemultiplexer(0)
    with pytest.raises(ValueError, match="must hold 2 images of equal length"):
        ConcatDemultiplexer(2)(np.zeros((1, 17, 8)), reference=np.zeros(2))
