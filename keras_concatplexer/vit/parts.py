"""The parts inside a ViT's embedding and blocks, under one set of names.

For what must look inside a block: the class token's attention, proportional
attention, the fused inference graph.
"""

import dataclasses
from collections.abc import Callable

import keras


@dataclasses.dataclass(frozen=True)
class BlockParts:
    """The layers of a pre-norm transformer block.

    `x += attention(norm1(x)); x += mlp_out(activation(mlp_in(norm2(x))))`, where
    `mlp_in` stands for its matrix and bias only.
    """

    norm1: keras.layers.LayerNormalization
    attention: keras.layers.MultiHeadAttention
    norm2: keras.layers.LayerNormalization
    mlp_in: keras.layers.Dense
    mlp_out: keras.layers.Dense
    activation: Callable


@dataclasses.dataclass(frozen=True)
class EmbeddingParts:
    """The layer and variables of a patch embedding.

    Attributes:
        projection: `Conv2D` whose window and step are the patch.
        prefix: tuple of variables `(1, 1, D)`: class token, distillation token.
        positions: variable `(prefix + P, D)`, or with a 1 in front.
    """

    projection: keras.layers.Conv2D
    prefix: tuple
    positions: object
