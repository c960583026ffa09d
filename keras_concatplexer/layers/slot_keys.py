"""What each slot's transform is made of, drawn once from a seed.

NumPy draws them, so that a seed gives the same keys on every Keras backend, and
a multiplexer and a demultiplexer with the same seed hold the same keys.
"""

import numpy as np
from keras import ops


def _generator(seed):
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(
            "`seed` must be a non-negative integer: the keys follow from it. "
            f"Received: seed={seed!r}"
        )
    return np.random.default_rng(seed)


def gaussian(num_mux, hidden_dim, seed):
    """Draws one Gaussian vector per slot, each with a mean square of 1.

    Returns:
        Array `(num_mux, hidden_dim)`.
    """
    keys = _generator(seed).normal(size=(num_mux, hidden_dim))
    return keys / np.sqrt(np.mean(keys**2, axis=-1, keepdims=True))


def binary(num_mux, hidden_dim, overlap):
    """Cuts the features into one chunk per slot.

    Args:
        num_mux: int. Number of chunks, at most `hidden_dim`.
        hidden_dim: int. Number of features.
        overlap: float from 0 to 1. The share of the next slot's chunk that a slot
            has too; the last slot's next is the first.

    Returns:
        Array `(num_mux, hidden_dim)`: zero outside a slot's features, inside them
        such that the squares of all slots add up to `num_mux` at each feature.
    """
    edges = np.arange(num_mux + 1) * hidden_dim // num_mux
    masks = np.zeros((num_mux, hidden_dim))
    for slot in range(num_mux):
        following = (slot + 1) % num_mux
        shared = round(overlap * (edges[following + 1] - edges[following]))
        masks[slot, edges[slot] : edges[slot + 1]] = 1
        masks[slot, edges[following] : edges[following] + shared] = 1
    return masks * np.sqrt(num_mux / masks.sum(axis=0))


def orthogonal(num_mux, hidden_dim, seed):
    """Draws one orthogonal matrix per slot, uniformly.

    Returns:
        Array `(num_mux, hidden_dim, hidden_dim)`.
    """
    gaussians = _generator(seed).normal(size=(num_mux, hidden_dim, hidden_dim))
    q, r = np.linalg.qr(gaussians)
    # The signs make the distribution uniform over all orthogonal matrices.
    return q * np.sign(np.diagonal(r, axis1=-2, axis2=-1))[:, None, :]


def orthonormal_frames(num_mux, hidden_dim, rank, seed):
    """Draws `rank` orthonormal directions per slot, orthogonal across slots.

    Returns:
        Array `(num_mux, hidden_dim, rank)`; `num_mux * rank <= hidden_dim`.
    """
    columns = orthogonal(1, hidden_dim, seed)[0, :, : num_mux * rank]
    # (D, N * r) -> (D, N, r) -> (N, D, r)
    return columns.reshape(hidden_dim, num_mux, rank).transpose(1, 0, 2)


def unitary_phases(num_mux, hidden_dim, seed):
    """Draws the phases of one real key per slot whose spectrum is flat.

    Such a key has unit norm, and circular convolution with it is an orthogonal
    map. A real signal leaves the first phase, and for an even length the last,
    only the values 0 and pi.

    Returns:
        Array `(num_mux, hidden_dim // 2 + 1)`.
    """
    generator = _generator(seed)
    phases = generator.uniform(0, 2 * np.pi, (num_mux, hidden_dim // 2 + 1))
    signs = np.pi * generator.integers(0, 2, (num_mux, 2))
    phases[:, 0] = signs[:, 0]
    if hidden_dim % 2 == 0:
        phases[:, -1] = signs[:, 1]
    return phases


def initializer(keys):
    """Returns a Keras initializer that gives the array `keys`."""

    def constant(shape, dtype=None):
        return ops.reshape(ops.convert_to_tensor(keys, dtype=dtype), shape)

    return constant
