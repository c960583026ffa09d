"""The inference graph in the form that CPU kernels like: the same model, faster."""

import math

import tensorflow as tf
from keras import ops

from keras_concatplexer.layers import ConcatDemultiplexer, ConcatMultiplexer
from keras_concatplexer.models.multiplexed_vit import MultiplexedViT
from keras_concatplexer.vit import read_stages
from savedmodel_export.fused.layers import (
    FusedBlock,
    FusedDense,
    FusedEmbedding,
    FusedNorm,
)
from savedmodel_export.fused.multiplexers import (
    FusedConcatMultiplexer,
    KerasDemultiplexer,
    KerasMultiplexer,
)
from savedmodel_export.fused.pooling import FusedAttentionPooling


class CannotFuse(ValueError):
    """Raised for a model without a fused form; the message names the layer."""


class FusedClassifier(tf.Module):
    """A trained ViT or multiplexed ViT, classifier or not, as a fused inference graph.

    Each weight is held once, in the target precision, and layers shared between
    stages are shared here too. The parts of the way stay visible as name scopes:
    embedding, patchifier, multiplexer, backbone, demultiplexer, head.

    Args:
        model: trained ViT of `keras_concatplexer.vit`, or a multiplexed one.
        precision: `"float32"` or `"bfloat16"`, of the weights; the head is computed
            in float32.
        shares_with: `FusedClassifier` or `None`. One of the same precision, of a model
            with the same ViT and depth, whose embedding, blocks and head this one then
            shares: the several N of an elastic model hold them once.
        residual_precision: of the tokens between the blocks; default: `precision`.

    Call arguments:
        images: `(batch_size, height, width, channels)`, preprocessed.

    Returns:
        float32 logits `(batch_size, num_classes)`, or features of a model without a
        classifier.

    Raises:
        CannotFuse: for a model or layer that has no fused form.
    """

    def __init__(
        self, model, precision="float32", shares_with=None, residual_precision=None
    ):
        super().__init__(name="fused_classifier")
        self._dtype = dtype = tf.as_dtype(precision)
        self._residual_dtype = tf.as_dtype(residual_precision or precision)
        stages, behind, block_parts = _read(model)
        self._num_tokens = stages.num_prefix_tokens + math.prod(stages.grid_shape)
        self._depth = len(block_parts)
        self.multiplexer = self.demultiplexer = None
        pools_all = behind.pooling_parts is not None
        reads_first_tokens = not pools_all
        if isinstance(model, MultiplexedViT):
            self._depth = model.patchifier_depth
            self.multiplexer, self.demultiplexer = _pair(model, dtype)
            if self.demultiplexer is not None or self._depth == len(block_parts):
                reads_first_tokens = False
        self._ends_in_first_tokens = reads_first_tokens
        norm = model.norm if isinstance(model, MultiplexedViT) else behind.norm
        self.norm = FusedNorm(norm, dtype if pools_all else tf.float32)
        if shares_with is not None:
            self.embedding = shares_with.embedding
            self.blocks = shares_with.blocks
            self.pooling = shares_with.pooling
            self.head = shares_with.head
            return
        *others, last = block_parts
        self.embedding = FusedEmbedding(stages, dtype)
        self.blocks = [
            FusedBlock(parts, dtype, self._residual_dtype, f"block_{index}")
            for index, parts in enumerate(others)
        ]
        queries = "first" if reads_first_tokens else "all"
        name = f"block_{len(others)}"
        self.blocks.append(FusedBlock(last, dtype, self._residual_dtype, name, queries))
        self.pooling = None
        if pools_all:
            self.pooling = FusedAttentionPooling(behind.pooling_parts, dtype)
        self.head = behind.head
        if behind.num_classes is not None:
            self.head = FusedDense(
                behind.head.kernel, behind.head.bias, tf.float32, "head"
            )

    def __call__(self, images):
        return self.head(self.pooled(images))

    def outputs(self, images):
        """Returns dict: `features`, and `logits` of a classifier."""
        pooled = self.pooled(images)
        if self.is_classifier:
            return {"features": pooled, "logits": self.head(pooled)}
        return {"features": self.head(pooled)}

    @property
    def is_classifier(self):
        """Whether the answers are logits."""
        return isinstance(self.head, FusedDense)

    def pooled(self, images):
        """Returns what stands in front of the head, float32, a row per image."""
        batch_size = ops.shape(images)[0]
        with tf.name_scope("embedding"):
            tokens = tf.cast(self.embedding(images), self._residual_dtype)
        num_tokens, images_per_sequence = self._num_tokens, 1
        with tf.name_scope("patchifier" if self.multiplexer else "backbone"):
            for block in self.blocks[: self._depth]:
                tokens = block(tokens, num_tokens)
        if self.multiplexer is not None:
            with tf.name_scope("multiplexer"):
                tokens = self.multiplexer(tf.cast(tokens, self._dtype))
                tokens = tf.cast(tokens, self._residual_dtype)
            num_tokens = self.multiplexer.num_tokens
            images_per_sequence = self.multiplexer.images_per_sequence
            with tf.name_scope("backbone"):
                for block in self.blocks[self._depth :]:
                    tokens = block(tokens, num_tokens, images_per_sequence)
        with tf.name_scope("demultiplexer"):
            if self.demultiplexer is not None:
                tokens = self.demultiplexer(tokens, images)
            else:
                per_image = num_tokens // images_per_sequence
                per_image = 1 if self._ends_in_first_tokens else per_image
                tokens = tf.reshape(tokens, (-1, per_image, tokens.shape[-1]))
            tokens = tokens[:batch_size]
        with tf.name_scope("head"):
            if self.pooling is None:
                return self.norm(tf.cast(tokens[:, 0], tf.float32))
            _, num_tokens, width = tokens.shape
            rows = tf.reshape(tokens, (-1, width))
            rows = self.norm(tf.cast(rows, self.norm.gamma.dtype))
            return self.pooling(rows, num_tokens)


def _read(model):
    """`Stages` in front of and behind the multiplexer, and all `BlockParts`."""
    try:
        if isinstance(model, MultiplexedViT):
            stages, behind = model.stages, model.backbone_stages
            block_parts = model.block_parts
        else:
            stages = behind = read_stages(model)
            block_parts = stages.block_parts
        stages.check_plain_weights()
        behind.check_plain_weights()
    except ValueError as error:
        raise CannotFuse(
            f"{model.name} cannot be read as a ViT of known layers: {error}"
        ) from error
    norms = [behind.norm, stages.embedding_parts.norm]
    attentions = [parts.attention for parts in block_parts]
    for parts in block_parts:
        norms += [parts.norm1, parts.norm2]
    if (pooling := behind.pooling_parts) is not None:
        norms.append(pooling.norm)
        attentions.append(pooling.attention)
    for attention in attentions:
        if attention.key_dim != attention.value_dim:
            raise CannotFuse(
                f"The attention {attention.path} has values of another width "
                "than its keys."
            )
    for norm in filter(None, norms):
        if not (norm.center and norm.scale):
            raise CannotFuse(f"The norm {norm.path} has no scale or no centre.")
    return stages, behind, block_parts


def _pair(model, dtype):
    """The fused multiplexer and, unless it is a concatenation's, demultiplexer."""
    multiplexer = model.get_layer("multiplexer")
    demultiplexer = model.get_layer("demultiplexer")
    if isinstance(multiplexer, ConcatMultiplexer):
        if multiplexer.needs_scores:
            raise CannotFuse(
                f"The token reduction {multiplexer.reduction.path} reads attention "
                "scores."
            )
        if multiplexer.return_sizes:
            raise CannotFuse(
                f"The blocks behind {multiplexer.path} have proportional attention."
            )
        fused = FusedConcatMultiplexer(multiplexer, dtype)
    else:
        fused = KerasMultiplexer(multiplexer)
    if isinstance(demultiplexer, ConcatDemultiplexer):
        return fused, None
    return fused, KerasDemultiplexer(demultiplexer, fused.num_tokens)
