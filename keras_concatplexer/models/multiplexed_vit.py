"""The one multiplexed model: every multiplexer takes the same way."""

import types
from collections.abc import Mapping

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from keras_concatplexer.layers import ClassAttention
from keras_concatplexer.models import ensemble
from keras_concatplexer.models.wrapped_vit import WrappedViT
from keras_concatplexer.vit.heads import pool
from keras_concatplexer.vit.shared_layer import SharedLayer
from keras_concatplexer.vit.stages import check_stages, read_stages


class MultiplexedViT(WrappedViT):
    """A ViT classifier whose backbone serves several images at once.

    images -> embedding -> patchifier -> multiplexer -> backbone -> demultiplexer
    -> head. The embedding, the blocks and the head are the very layers of the
    wrapped ViT: its weights carry over, and training this model trains the ViT.
    Input and output are those of the ViT: a flat batch of any size, one row of
    logits, or features, per image, in order.

    Args:
        vit: the ViT classifier to wrap.
        num_mux: int. Images per group.
        make_pair: function of the `Stages` in front of and behind the multiplexer
            that returns it, called with the tokens, and a demultiplexer, called with
            the sequence and `reference=` the images.
        patchifier_depth: int. Blocks in front of the multiplexer.
        own_norm: bool. Whether the final norm is a copy of the ViT's with weights
            of its own.
        backbone: a second ViT or `None`. All its blocks, its norm and its head then
            stand behind the multiplexer, in place of the rest of `vit`.
        name: str.

    Raises:
        ValueError: if `vit` cannot be read, is multiplexed already, or has fewer
            blocks than `patchifier_depth`.
    """

    def __init__(
        self,
        vit,
        num_mux,
        make_pair,
        patchifier_depth,
        own_norm=False,
        backbone=None,
        name=None,
    ):
        # === Layers ===
        stages = _checked_stages("vit", vit)
        if backbone is vit:
            raise ValueError(
                "`backbone` must be a second ViT. Without it the rest of `vit` stands "
                f"behind the multiplexer. Received: backbone={backbone!r}, the same"
            )
        behind = stages if backbone is None else _checked_stages("backbone", backbone)
        num_blocks = len(stages.blocks)
        if not isinstance(patchifier_depth, int) or not (
            0 <= patchifier_depth <= num_blocks
        ):
            raise ValueError(
                "`patchifier_depth` must be an integer from 0 to the ViT's number of "
                f"blocks, {num_blocks}. Received: patchifier_depth={patchifier_depth!r}"
            )
        multiplexer, demultiplexer = make_pair(stages, behind)
        # The two ViTs have layers of the same names.
        prefix = "" if backbone is None else "backbone_"
        blocks = list(zip(behind.blocks, behind.block_parts, strict=True))
        if backbone is None:
            blocks = blocks[patchifier_depth:]
        norm = _copy_of(behind.norm) if own_norm else SharedLayer(behind.norm)

        # === Functional Model ===
        images = keras.Input(stages.image_shape, name="images")
        tokens = SharedLayer(stages.embedding)(images)
        block_inputs = []
        for block in stages.blocks[:patchifier_depth]:
            block_inputs.append(tokens)
            tokens = SharedLayer(block)(tokens)
        multiplexed = self.multiplex(multiplexer, tokens, block_inputs, stages)
        tokens = self.run_backbone(multiplexed, blocks, prefix)
        tokens = demultiplexer(tokens, reference=images)
        pooling = behind.pooling and SharedLayer(behind.pooling)
        outputs = SharedLayer(behind.head)(pool(tokens, norm, pooling))
        super().__init__(vit, images, outputs, name)

        # === Config ===
        self.num_mux = num_mux
        self.patchifier_depth = patchifier_depth
        # Kept out of Keras' tracking, like the ViT.
        object.__setattr__(self, "backbone", backbone)
        self._backbone_names = [prefix + block.name for block, _ in blocks]
        self._pair_names = (multiplexer.name, demultiplexer.name)
        self._norm_name = norm.name
        self.note_weights()

    @property
    def by_num_mux(self) -> Mapping[int, keras.Model]:
        """Read-only mapping, the images per group -> this model."""
        # In a dict or a list Keras' loading would find this model within itself.
        return types.MappingProxyType({self.num_mux: self})

    @property
    def mixes_images(self) -> bool:
        """Bool. Whether an answer depends on the other images of the batch."""
        return self.get_layer(self._pair_names[0]).images_per_sequence > 1

    @property
    def layer_stages(self):
        """dict, name of a layer of this model -> its stage.

        Stages are embedding, patchifier, multiplexer, backbone, demultiplexer and
        head, in this order.
        """
        vit, depth = self.stages, self.patchifier_depth
        multiplexer, demultiplexer = self._pair_names
        stages = {
            vit.embedding.name: "embedding",
            **{block.name: "patchifier" for block in vit.blocks[:depth]},
            multiplexer: "multiplexer",
            **{name: "backbone" for name in self._backbone_names},
            demultiplexer: "demultiplexer",
        }
        for layer in self.layers:
            if isinstance(layer, ClassAttention):
                stages[layer.name] = "multiplexer"
            elif not isinstance(layer, keras.layers.InputLayer):
                stages.setdefault(layer.name, "head")
        return stages

    def multiplex(self, multiplexer, tokens, block_inputs, stages):
        """Calls the multiplexer; a model whose multiplexer needs more overrides it.

        Args:
            multiplexer: the layer that `make_pair` returned.
            tokens: `(batch_size, num_tokens, hidden_dim)`, out of the patchifier.
            block_inputs: list of such tensors, into each block of the patchifier.
            stages: `Stages` of the ViT.
        """
        return multiplexer(tokens)

    def run_backbone(self, multiplexed, blocks, prefix):
        """Runs the blocks behind the multiplexer on what it returned.

        Args:
            multiplexed: output of the multiplexer.
            blocks: list of pairs, a layer and its `BlockParts`.
            prefix: str. What stands in front of the blocks' names in this model.
        """
        tokens = multiplexed
        for block, _ in blocks:
            tokens = SharedLayer(block, prefix + block.name)(tokens)
        return tokens

    def predict_ensemble(
        self,
        images: ArrayLike,
        num_permutations: int,
        batch_size: int = 32,
        seed: int = 0,
    ) -> np.ndarray:
        """Averages each image's logits over its slots and random neighbours.

        For each of `num_permutations` random orders of the images, the images of
        every group move through all its slots, so that every image takes every slot
        once: `num_mux * num_permutations` times the cost of `predict`. Where an
        answer depends on its image alone, this is `predict`.

        Args:
            images: float array `(num_images, height, width, channels)`, any number
                of images >= 1.
            num_permutations: int. Orders to average over.
            batch_size: int. Images per call; rounded up to whole groups.
            seed: int. Of the orders.

        Returns:
            float32 array `(num_images, num_classes)`, in the order of the images.

        Raises:
            ValueError: if there are no images, or a number is not positive.
        """
        return ensemble.predict_ensemble(
            self, self.num_mux, images, num_permutations, batch_size, seed
        )

    @property
    def backbone_stages(self):
        """`Stages` of the ViT whose blocks, norm and head stand behind."""
        return self.stages if self.backbone is None else read_stages(self.backbone)

    @property
    def block_parts(self):
        """Tuple of the `BlockParts` of all blocks, in the order of the data."""
        if self.backbone is None:
            return self.stages.block_parts
        front = self.stages.block_parts[: self.patchifier_depth]
        return front + self.backbone_stages.block_parts

    @property
    def head_layer(self):
        return self.get_layer(self.backbone_stages.head.name)

    @property
    def norm(self):
        """The final `LayerNormalization`."""
        norm = self.get_layer(self._norm_name)
        return norm.layer if isinstance(norm, SharedLayer) else norm

    def get_config(self):
        return {
            **super().get_config(),
            "num_mux": self.num_mux,
            "patchifier_depth": self.patchifier_depth,
        }


def plain_stages(name, vit):
    """Returns the `Stages` of an argument that must be a ViT and not multiplexed.

    Raises:
        ValueError: if it is multiplexed already, or cannot be read.
    """
    if isinstance(vit, WrappedViT):
        raise ValueError(
            f"`{name}` is multiplexed already. Pass the ViT that it wraps, its "
            f"attribute `vit`. Received: {vit!r}"
        )
    return read_stages(vit, name)


def _checked_stages(name, vit):
    stages = plain_stages(name, vit)
    check_stages(vit)
    return stages


def _copy_of(norm):
    """A norm with the same settings and, for now, the same weights."""
    settings = {**norm.get_config(), "name": "own_norm", "trainable": True}
    copy = type(norm).from_config(settings)
    copy.build(norm.gamma.shape)
    for source, target in zip(norm.weights, copy.weights, strict=True):
        # A copy: JAX would share the buffer, and give it up twice in a step.
        target.assign(ops.copy(source))
    return copy
