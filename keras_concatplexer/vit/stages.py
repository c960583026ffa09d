"""A Vision Transformer read into its stages, whichever library built it."""

import dataclasses
from collections.abc import Callable

import keras

from keras_concatplexer.vit import keras_cv, keras_hub_model
from keras_concatplexer.vit.parts import EmbeddingParts


@dataclasses.dataclass(frozen=True)
class Stages:
    """The layers of a ViT classifier in the order of the data.

    Attributes:
        embedding: layer, images `(B, H, W, C)` -> tokens `(B, prefix + P, D)`.
        blocks: tuple of layers, tokens -> tokens.
        image_shape: `(height, width, channels)`.
        grid_shape: `(rows, columns)` of patches.
        num_prefix_tokens: int. Tokens in front of the patches.
        hidden_dim: int. D.
        mlp_dim: int. Width inside each block's MLP.
        num_classes: int.
        dtype_policy: the blocks' `keras.DTypePolicy`.
        embedding_parts: `EmbeddingParts`.
        block_parts: tuple of `BlockParts`, one per block.
        norm: the final `LayerNormalization`.
        head: the `Dense` layer of the logits.
    """

    embedding: Callable
    blocks: tuple
    image_shape: tuple
    grid_shape: tuple
    num_prefix_tokens: int
    hidden_dim: int
    mlp_dim: int
    num_classes: int
    dtype_policy: object
    embedding_parts: EmbeddingParts
    block_parts: tuple
    norm: keras.layers.LayerNormalization
    head: keras.layers.Dense

    def features(self, tokens, norm=None):
        """Tokens `(B, L, D)` -> the final norm of the class token, `(B, D)`.

        Another `norm` may stand in for the ViT's.
        """
        norm = self.norm if norm is None else norm
        return norm(tokens[:, 0])

    def classify(self, tokens, norm=None):
        """Tokens `(B, L, D)` -> logits `(B, num_classes)`: the head on `features`."""
        return self.head(self.features(tokens, norm))


# Each is a module with `matches(vit)`, `read(vit)`, `rebuild(vit, image_shape)` and
# `position_embedding(vit)`.
ADAPTERS = (keras_cv, keras_hub_model)


def get_adapter(vit):
    """Returns the module of `ADAPTERS` that knows a ViT classifier.

    Raises:
        ValueError: if none does.
    """
    for adapter in ADAPTERS:
        if adapter.matches(vit):
            return adapter
    raise ValueError(
        "`vit` must be a ViT classifier made by `keras_concatplexer.vit."
        f"keras_cv_vit` or `keras_hub_vit`. Received: {vit!r} of type "
        f"{type(vit).__name__}"
    )


def read_stages(vit):
    """Returns the `Stages` of a ViT classifier.

    Args:
        vit: `keras.Model` made by a builder of `keras_concatplexer.vit`, trained
            or not, or loaded from a file. Its layers are used, not copied.

    Raises:
        ValueError: if `vit` is not such a model, or is made of keras-cv layers
            under another global dtype policy than the present one.
    """
    return Stages(**get_adapter(vit).read(vit))
