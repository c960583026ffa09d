import numpy as np
import pytest

from keras_concatplexer.layers import grouping


@pytest.mark.parametrize("num_mux", [1, 2, 3, 4])
@pytest.mark.parametrize("batch_size", range(1, 10))
def test_order_is_kept_and_filler_is_the_first_images(batch_size, num_mux):
    tokens = np.arange(batch_size * 6, dtype="float32").reshape(batch_size, 3, 2)
    groups = np.asarray(grouping.group(tokens, num_mux))
    assert groups.shape == (-(-batch_size // num_mux), num_mux, 3, 2)
    assert groups.shape[0] == grouping.num_groups(batch_size, num_mux)
    rows = groups.reshape(-1, 3, 2)
    filler = rows[batch_size:]
    np.testing.assert_array_equal(rows[:batch_size], tokens)
    np.testing.assert_array_equal(filler, tokens[np.arange(len(filler)) % batch_size])
    np.testing.assert_array_equal(grouping.ungroup(groups, tokens), tokens)


def test_unknown_batch_size():
    assert grouping.num_groups(None, 2) is None
