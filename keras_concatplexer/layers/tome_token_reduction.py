"""Token reduction by merging similar tokens (ToMe)."""

import keras
from keras import ops

from keras_concatplexer.layers.token_reduction import TokenReduction


@keras.saving.register_keras_serializable(package="keras_concatplexer")
class ToMeTokenReduction(TokenReduction):
    """Merges the most similar patch tokens by bipartite soft matching.

    Token Merging, Bolya et al., arXiv 2210.09461, section 3: tokens are split
    alternately into two sets, each token of the first is matched with its most
    similar one of the second, and the pairs of highest similarity are averaged,
    weighted by how many patches each token stands for. Written from the paper.
    There the similarity is that of the attention's keys and merging happens in
    every block; here it is the cosine of the tokens themselves, once, at the
    multiplexer. One round merges at most half of the tokens, so a quarter takes
    two. Matching and averaging are matrix products, without scatter.

    Args:
        grid_shape: pair of ints `(rows, columns)` of the patch grid.
        strides: int or pair of ints; fix only the number of tokens kept.

    Call arguments:
        inputs: `(batch_size, rows * columns, hidden_dim)`, float.

    Output shape: `(batch_size, ceil(rows / strides[0]) * ceil(columns /
        strides[1]), hidden_dim)`.

    Raises:
        ValueError: if an argument is invalid.

    Example:

    >>> layer = ToMeTokenReduction((4, 4), strides=(2, 2))
    >>> layer(np.ones((3, 16, 8))).shape
    TensorShape([3, 4, 8])
    """

    def call(self, inputs):
        return self.merge(inputs)[0]

    def merge(self, tokens):
        """Returns the merged tokens and how many patches each stands for.

        The sizes are `(batch_size, num_reduced_tokens, 1)`, float32.
        """
        sizes = ops.ones_like(tokens[:, :, :1], dtype="float32")
        for num_merged in self._rounds():
            tokens, sizes = _merge_round(tokens, sizes, num_merged)
        return tokens, sizes

    def _rounds(self):
        """How many tokens each round merges away."""
        left, rounds = self.num_tokens, []
        while left > self.num_reduced_tokens:
            rounds.append(min(left - self.num_reduced_tokens, left // 2))
            left -= rounds[-1]
        return rounds


def _merge_round(tokens, sizes, num_merged):
    """Merges `num_merged` tokens, at most half, into others.

    Args:
        tokens: `(B, L, D)`.
        sizes: `(B, L, 1)`, float32.
        num_merged: int.

    Returns:
        Tokens `(B, L - num_merged, D)` in the dtype of the input, and sizes.
    """
    dtype = tokens.dtype
    tokens = ops.cast(tokens, "float32")
    first, second = tokens[:, ::2], tokens[:, 1::2]
    first_sizes, second_sizes = sizes[:, ::2], sizes[:, 1::2]
    similarity = ops.matmul(
        ops.normalize(first, axis=-1),
        ops.transpose(ops.normalize(second, axis=-1), (0, 2, 1)),
    )
    # The least similar of the first set stay; original order is kept.
    by_similarity = ops.argsort(-ops.max(similarity, axis=-1), axis=-1)
    kept = ops.sort(by_similarity[:, num_merged:], axis=-1)[..., None]
    rank = ops.argsort(by_similarity, axis=-1)
    goes = ops.cast(rank < num_merged, "float32")[..., None]
    # (B, first, second): a row has its match's column at 1, or is all 0.
    matches = goes * ops.one_hot(
        ops.argmax(similarity, axis=-1), second.shape[1], dtype="float32"
    )
    received = ops.transpose(matches, (0, 2, 1))
    merged_sizes = second_sizes + ops.matmul(received, first_sizes)
    merged = second * second_sizes + ops.matmul(received, first * first_sizes)
    tokens = [ops.take_along_axis(first, kept, axis=1), merged / merged_sizes]
    sizes = [ops.take_along_axis(first_sizes, kept, axis=1), merged_sizes]
    return ops.cast(ops.concatenate(tokens, axis=1), dtype), ops.concatenate(
        sizes, axis=1
    )
