import numpy as np
import pytest

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
