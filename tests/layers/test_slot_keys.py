import numpy as np
import pytest

from keras_concatplexer.layers import slot_keys


@pytest.mark.parametrize(
    "draw",
    [
        slot_keys.gaussian,
        slot_keys.orthogonal,
        slot_keys.unitary_phases,
        lambda n, d, seed: slot_keys.orthonormal_frames(n, d, d // n, seed),
    ],
)
def test_seed_fixes_the_keys(draw):
    np.testing.assert_array_equal(draw(2, 8, 3), draw(2, 8, 3))
    assert np.abs(draw(2, 8, 3) - draw(2, 8, 4)).max() > 0.1


@pytest.mark.parametrize("seed", [-1, 1.5, None, True])
def test_bad_seed_is_refused(seed):
    with pytest.raises(ValueError, match="`seed` must be a non-negative"):
        slot_keys.gaussian(2, 8, seed)


def test_gaussian_keys_have_unit_mean_square():
    keys = slot_keys.gaussian(4, 32, 0)
    np.testing.assert_allclose(np.mean(keys**2, axis=-1), np.ones(4))


@pytest.mark.parametrize("num_mux, hidden_dim", [(1, 8), (2, 8), (3, 8), (4, 10)])
def test_binary_chunks_are_disjoint_and_cover_all_features(num_mux, hidden_dim):
    chunks = slot_keys.binary(num_mux, hidden_dim, 0.0) != 0
    np.testing.assert_array_equal(chunks.sum(axis=0), np.ones(hidden_dim))
    assert chunks.sum(axis=1).min() >= hidden_dim // num_mux


def test_binary_overlap_is_the_share_of_the_next_chunk():
    chunks = slot_keys.binary(2, 8, 0.5) != 0
    np.testing.assert_array_equal(
        chunks, [[1, 1, 1, 1, 1, 1, 0, 0], [1, 1, 0, 0, 1, 1, 1, 1]]
    )


@pytest.mark.parametrize("overlap", [0.0, 0.3, 1.0])
def test_binary_keys_keep_the_energy_of_each_feature(overlap):
    keys = slot_keys.binary(4, 16, overlap)
    np.testing.assert_allclose(np.sum(keys**2, axis=0), np.full(16, 4.0))


@pytest.mark.parametrize("num_mux, hidden_dim", [(1, 6), (4, 32)])
def test_orthogonal_matrices_are_orthogonal(num_mux, hidden_dim):
    matrices = slot_keys.orthogonal(num_mux, hidden_dim, 0)
    products = matrices @ matrices.transpose(0, 2, 1)
    expected = np.broadcast_to(np.eye(hidden_dim), products.shape)
    np.testing.assert_allclose(products, expected, atol=1e-12)


def test_frames_are_orthonormal_across_slots():
    frames = slot_keys.orthonormal_frames(3, 10, 3, 0)
    columns = np.concatenate(list(frames), axis=1)
    np.testing.assert_allclose(columns.T @ columns, np.eye(9), atol=1e-12)


@pytest.mark.parametrize("hidden_dim", [7, 8])
def test_unitary_keys_are_real_and_of_unit_norm(hidden_dim):
    phases = slot_keys.unitary_phases(3, hidden_dim, 0)
    spectrum = np.exp(1j * phases)
    keys = np.fft.irfft(spectrum, n=hidden_dim)
    np.testing.assert_allclose(np.linalg.norm(keys, axis=-1), np.ones(3))
    np.testing.assert_allclose(np.fft.rfft(keys), spectrum, atol=1e-12)
