"""A Vision Transformer read into its stages, whichever library built it."""

import dataclasses
import math
import weakref
from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from keras_concatplexer.classifier import ImageClassifier
from keras_concatplexer.vit.heads import pool


@dataclasses.dataclass(frozen=True)
class BlockParts:
    """The layers of a pre-norm transformer block.

    `x += attention(norm1(x)); x += mlp_out(activation(mlp_in(norm2(x))))`, where
    `mlp_in` stands for its matrix and bias only. With scales, what is added is
    multiplied by them.

    Attributes:
        norm1, norm2: `LayerNormalization`.
        attention: `MultiHeadAttention`.
        mlp_in, mlp_out: `Dense`.
        activation: function.
        dropouts: three `Dropout` or `None`, behind the attention, the activation and
            `mlp_out`.
        scales: two variables `(D,)` or `None`, of the attention and of the MLP
            (LayerScale, arXiv 2103.17239).
    """

    norm1: keras.layers.LayerNormalization
    attention: keras.layers.MultiHeadAttention
    norm2: keras.layers.LayerNormalization
    mlp_in: keras.layers.Dense
    mlp_out: keras.layers.Dense
    activation: Callable
    dropouts: tuple = (None, None, None)
    scales: tuple = (None, None)


@dataclasses.dataclass(frozen=True)
class EmbeddingParts:
    """The layer and variables of a patch embedding.

    Attributes:
        projection: `Conv2D` whose window and step are the patch.
        prefix: tuple of variables, each of one token or several, in order: class
            token, distillation token, registers.
        positions: variable `(placed + P, D)`, or with a 1 in front: of the first
            tokens of the prefix, then of the patches.
        norm: `LayerNormalization` of all tokens, or `None`.
        antialias: bool. Whether positions are smoothed on their way to a coarser grid.
    """

    projection: keras.layers.Conv2D
    prefix: tuple
    positions: object
    norm: keras.layers.LayerNormalization | None = None
    antialias: bool = True

    @property
    def num_prefix_tokens(self):
        """Number of tokens in front of the patches."""
        return sum(math.prod(tokens.shape[:-1]) for tokens in self.prefix)


@dataclasses.dataclass(frozen=True)
class PoolingParts:
    """The parts of an attention pooling head.

    `x = attention(probe, tokens); x + mlp_out(activation(mlp_in(norm(x))))`.

    Attributes:
        probe: variable `(1, 1, D)`, the one query.
        attention, norm, mlp_in, mlp_out, activation: as of `BlockParts`.
    """

    probe: object
    attention: keras.layers.MultiHeadAttention
    norm: keras.layers.LayerNormalization
    mlp_in: keras.layers.Dense
    mlp_out: keras.layers.Dense
    activation: Callable


@dataclasses.dataclass(frozen=True)
class Stages:
    """The layers of a ViT in the order of the data.

    The ViT is `head(pool(blocks(embedding(images)), norm, pooling))`.

    Attributes:
        embedding: layer, images `(B, H, W, C)` -> tokens `(B, prefix + P, D)`.
        blocks: tuple of layers, tokens -> tokens.
        image_shape: `(height, width, channels)`.
        grid_shape: `(rows, columns)` of patches.
        hidden_dim: int. D.
        mlp_dim: int. Width inside each block's MLP.
        num_classes: int, or `None` where the output is the features.
        dtype_policy: the blocks' `keras.DTypePolicy`.
        embedding_parts: `EmbeddingParts`.
        block_parts: tuple of `BlockParts`, one per block.
        norm: the final `LayerNormalization`.
        head: the `Dense` layer of the logits; or, where the output is the features, a
            layer without weights.
        pooling: layer or `None`, as of `pool`.
        pooling_parts: `PoolingParts` of that layer, or `None`.
    """

    embedding: keras.layers.Layer
    blocks: tuple
    image_shape: tuple
    grid_shape: tuple
    hidden_dim: int
    mlp_dim: int
    num_classes: int | None
    dtype_policy: object
    embedding_parts: EmbeddingParts
    block_parts: tuple
    norm: keras.layers.LayerNormalization
    head: keras.layers.Layer
    pooling: keras.layers.Layer | None = None
    pooling_parts: PoolingParts | None = None

    @property
    def num_prefix_tokens(self):
        """Number of tokens in front of the patches."""
        return self.embedding_parts.num_prefix_tokens

    def check_plain_weights(self):
        """Refuses layers whose kernel is not what they multiply with.

        For what computes with the weights themselves, not by calling the layers.

        Raises:
            ValueError: if a layer is quantized; the message names it.
        """
        layers = [self.embedding_parts.projection, self.head]
        blocks = [*self.block_parts, self.pooling_parts]
        for parts in filter(None, blocks):
            attention = parts.attention
            layers += [attention.query_dense, attention.key_dense]
            layers += [attention.value_dense, attention.output_dense]
            layers += [parts.mlp_in, parts.mlp_out]
        for layer in layers:
            mode = getattr(layer, "quantization_mode", None)
            if mode is not None:
                raise ValueError(
                    f"The layer {layer.path} is quantized ({mode}): its kernel alone "
                    "does not tell what it computes. Use the model before `quantize`."
                )


# ViTs whose stages were seen to compute what the model computes.
_PROVEN = weakref.WeakSet()


class ViT(ImageClassifier):
    """A functional ViT that tells its stages.

    The base of the models that `keras_cv_vit` and `keras_hub_vit` build.
    """

    @property
    def head_layer(self):
        return self.read().head

    def read(self):
        """Returns the model's `Stages`.

        Raises:
            ValueError: if the model cannot be used under the present settings.
        """
        raise NotImplementedError

    def rebuilt(self, image_shape, num_classes):
        """Returns a new ViT like this one, for such images and classes.

        Its weights are fresh. `num_classes` may be `None`, for features.
        """
        raise NotImplementedError

    @property
    def layer_stages(self):
        """dict, name of a layer of this model -> its stage, for `flops.count`."""
        stages = self.read()
        return {
            stages.embedding.name: "embedding",
            **{block.name: "backbone" for block in stages.blocks},
            stages.norm.name: "head",
            **({} if stages.pooling is None else {stages.pooling.name: "head"}),
            stages.head.name: "head",
        }


def read_stages(vit: keras.Model, name: str = "vit") -> Stages:
    """Returns the `Stages` of a ViT classifier.

    Args:
        vit: model made by a builder of `keras_concatplexer.vit`, trained or not, or
            loaded from a file. Its layers are used, not copied.
        name: str. What an error calls the argument.

    Raises:
        ValueError: if `vit` is another model, or is made of keras-cv layers under
            another global dtype policy than the present one.
    """
    if not isinstance(vit, ViT):
        raise ValueError(
            f"`{name}` must be a ViT classifier made by `keras_concatplexer.vit."
            f"keras_cv_vit` or `keras_hub_vit`. Received: {vit!r} of type "
            f"{type(vit).__name__}"
        )
    return vit.read()


def check_stages(vit):
    """Refuses a ViT whose stages do not compute what the model itself computes.

    Compared on one random image, once per model. In a graph nothing can be compared.

    Raises:
        ValueError: if the outputs differ.
    """
    if vit in _PROVEN or not _is_eager():
        return
    stages = read_stages(vit)
    random = np.random.default_rng(0)
    images = random.normal(size=(1, *stages.image_shape)).astype("float32")
    tokens = stages.embedding(images)
    for block in stages.blocks:
        tokens = block(tokens)
    features = pool(tokens, stages.norm, stages.pooling)
    found = ops.convert_to_numpy(stages.head(features))
    expected = ops.convert_to_numpy(vit(images))
    difference = np.max(np.abs(found - expected))
    if not difference <= 1e-2 * np.max(np.abs(expected)):
        raise ValueError(
            "This ViT does not compute what its embedding, blocks, norm, pooling and "
            "head compute: something was replaced or added. Received: outputs that "
            f"differ by {difference:.3g}"
        )
    _PROVEN.add(vit)


def _is_eager():
    if keras.backend.backend() != "tensorflow":
        return True
    import tensorflow as tf

    return tf.executing_eagerly()
