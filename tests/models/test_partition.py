import pytest
import tensorflow as tf

from keras_concatplexer.models.partition import checked_shares, part_bounds

NUM_MUX = (1, 2, 4)
EQUAL = checked_shares(None, NUM_MUX)


@pytest.mark.parametrize("num_mux", [(1, 2, 4), (4, 1), (2, 8, 4), (3,)])
@pytest.mark.parametrize("weights", [None, "falling"])
def test_parts_cover_the_batch_once_in_whole_groups(num_mux, weights):
    if weights is not None:
        weights = [1 / (1 + index) for index in range(len(num_mux))]
    shares = checked_shares(weights, num_mux)
    for batch_size in range(1, 80):
        bounds = part_bounds(batch_size, num_mux, shares)
        kept = []
        for n, (start, stop, num_rows) in zip(num_mux, bounds, strict=True):
            assert 0 <= start < stop <= batch_size
            kept += range(start, start + num_rows)
            assert num_rows % n == 0 or n == min(num_mux)
        assert kept == list(range(batch_size))


def test_sizes_come_near_to_the_shares():
    sizes = [size for *_, size in part_bounds(64, NUM_MUX, (0.5, 0.25, 0.25))]
    assert sizes == [32, 16, 16]
    sizes = [size for *_, size in part_bounds(64, NUM_MUX, EQUAL)]
    assert sizes == [22, 22, 20]


def test_an_unknown_batch_size_gives_the_same_parts():
    traced = tf.function(lambda size: part_bounds(size, NUM_MUX, EQUAL))
    for batch_size in (1, 2, 3, 7, 8, 64):
        expected = part_bounds(batch_size, NUM_MUX, EQUAL)
        found = traced(tf.constant(batch_size))
        assert [tuple(map(int, part)) for part in found] == expected


@pytest.mark.parametrize("weights", [(1, 1), (1, 0, 1), (1, -1, 2), (1, 1, 3000)])
def test_bad_weights(weights):
    with pytest.raises(ValueError, match="`num_mux_weights` must be 3 positive"):
        checked_shares(weights, NUM_MUX)
