"""How the images of a flat batch form groups, and come back in order.

Consecutive images form a group; an image's slot is its index modulo `num_mux`.
A last group that is not full is filled with the batch's own images, from its
start, so that no row is cut and none is made of zeros.
"""

from keras import ops


def num_groups(batch_size, num_mux):
    """Returns `ceil(batch_size / num_mux)`, or `None` for an unknown batch size."""
    return None if batch_size is None else (batch_size + num_mux - 1) // num_mux


def group(tokens, num_mux):
    """Stacks consecutive images into groups.

    Args:
        tokens: float tensor `(batch_size, num_tokens, hidden_dim)`.
        num_mux: int. Images per group.

    Returns:
        Tensor `(ceil(batch_size / num_mux), num_mux, num_tokens, hidden_dim)`.
    """
    batch_size, num_tokens, hidden_dim = ops.shape(tokens)
    if num_mux > 1:
        # In this form JAX sees that the groups are full where the batch is dynamic.
        num_filler = num_groups(batch_size, num_mux) * num_mux - batch_size
        filler_rows = ops.arange(num_filler) % batch_size
        tokens = ops.concatenate([tokens, ops.take(tokens, filler_rows, axis=0)])
    # (G * N, T, D) -> (G, N, T, D)
    return ops.reshape(tokens, (-1, num_mux, num_tokens, hidden_dim))


def ungroup(groups, reference):
    """Lays the images of all groups out in their batch order.

    Args:
        groups: float tensor `(num_groups, num_mux, num_tokens, hidden_dim)`.
        reference: any tensor with one row per real image.

    Returns:
        Tensor `(batch_size, num_tokens, hidden_dim)`, filler rows dropped.
    """
    _, _, num_tokens, hidden_dim = ops.shape(groups)
    # (G, N, T, D) -> (G * N, T, D) -> (B, T, D)
    tokens = ops.reshape(groups, (-1, num_tokens, hidden_dim))
    return tokens[: ops.shape(reference)[0]]
