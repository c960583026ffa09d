"""ConcatPlexer: reduced tokens of several images in one sequence."""

import keras

from keras_concatplexer.arguments import one_of, positive_int
from keras_concatplexer.choices import ATTENTION_SCOPES
from keras_concatplexer.layers import (
    ClassAttention,
    ConcatDemultiplexer,
    ConcatMultiplexer,
    ProportionalBlock,
)
from keras_concatplexer.layers.token_reduction import default_strides
from keras_concatplexer.models.multiplexed_vit import MultiplexedViT, plain_stages
from keras_concatplexer.models.wrapped_vit import serialized_vit


@keras.saving.register_keras_serializable(package="keras_concatplexer")
class ConcatPlexer(MultiplexedViT):
    """A ViT classifier that runs `num_mux` images through one backbone sequence.

    ConcatPlexer, arXiv 2308.11199. The first blocks see each image alone; a
    convolution reduces its patch tokens; `num_mux` images are concatenated along
    dim 1 and share the remaining blocks. The depth of the split, the kernel and
    the strides are not given in the paper's abstract: they are our choice.

    Args:
        vit: ViT classifier, for example of `vit.keras_cv_vit`. Its layers are
            used, not copied.
        num_mux: int. Images per group (N_MUX in the paper). For several at once see
            `ElasticConcatPlexer`.
        patchifier_depth: int or `None`. Blocks that see each image alone; half of
            the ViT's blocks by default, and one at least for `"select"`.
        strides: int, pair of ints or `None`. Step of the token reduction on the
            patch grid; `None` keeps `1 / num_mux` of the tokens: (1, 2) for 2,
            (2, 2) for 4, (2, 4) for 8.
        kernel_size: int, pair of ints or `None`. At least the strides, and by
            default the strides, but no less than 2. For the reducer `"conv"` only.
        reducer: how an image's patch tokens are reduced, all to the same number:
            `"conv"` (the paper's), `"mean"`, `"tome"` (`ToMeTokenReduction`) or
            `"select"` (`SelectTokenReduction`: what the class token attends to
            most in the last block of the patchifier, which must have one).
        attention_scope: `"group"`: in the backbone all tokens of a group attend
            to each other, so that an answer depends on the neighbours in the
            batch. `"image"`: each image attends only to itself, at less cost; an
            answer depends on its image alone.
        proportional_attention: bool. For the reducer `"tome"`: whether a merged
            token counts in the backbone's attention as often as the patches in it
            (`ProportionalBlock`).
        own_norm: bool. Whether the final norm is a copy of the ViT's with weights
            of its own, for models that share a ViT.
        shuffle_slots: bool. For the scope `"group"` with `num_mux` > 1: whether
            training draws at each step which image of a group gets which slot's
            vector, so that no slot is favoured (`layers.SlotEmbedding`).
        seed: int or `None`. Of these draws.
        backbone: a second ViT or `None`. All its blocks, its norm and its head then
            stand behind the multiplexer, in place of the rest of `vit`; where its
            width is another, the convolution maps the patch tokens to it, and a dense
            layer the class token. Its embedding is not used.

    Input: float images `(batch_size, height, width, channels)`, any `batch_size`
        >= 1, normalised as `preprocessing.ImagePreprocessor` does: values around 0,
        not pixels from 0 to 255.
    Output: float32 logits `(batch_size, num_classes)`, in input order.

    Raises:
        ValueError: if an argument is invalid.

    In the scope `"group"` an image with NaN or infinite pixels turns the answers of
    its whole group into NaN; in the scope `"image"` its own answer only.

    Example:

    >>> vit = keras_cv_vit("vit_nano4", image_shape=(16, 16, 1), num_classes=10)
    >>> model = ConcatPlexer(vit, num_mux=2)
    >>> model(np.zeros((5, 16, 16, 1))).shape
    TensorShape([5, 10])
    """

    def __init__(
        self,
        vit: keras.Model,
        num_mux: int,
        patchifier_depth: int | None = None,
        strides: int | tuple[int, int] | None = None,
        kernel_size: int | tuple[int, int] | None = None,
        reducer: str = "conv",
        attention_scope: str = "group",
        proportional_attention: bool = False,
        own_norm: bool = False,
        shuffle_slots: bool = False,
        seed: int | None = None,
        backbone: keras.Model | None = None,
        name: str | None = "concatplexer",
    ):
        if isinstance(num_mux, (tuple, list)):
            raise ValueError(
                "A `ConcatPlexer` has one `num_mux`. For several over one set of "
                f"weights use `ElasticConcatPlexer(vit, num_mux={tuple(num_mux)})`. "
                f"Received: num_mux={num_mux!r}"
            )
        positive_int("num_mux", num_mux)
        one_of("attention_scope", attention_scope, ATTENTION_SCOPES)
        # Attention within each image: a sequence is one image.
        images_per_sequence = num_mux if attention_scope == "group" else 1
        if shuffle_slots and images_per_sequence == 1:
            raise ValueError(
                "`shuffle_slots` needs slots: attention_scope='group' and `num_mux` "
                f"> 1. Received: shuffle_slots={shuffle_slots!r}, "
                f"attention_scope={attention_scope!r}, num_mux={num_mux!r}"
            )

        def make_pair(stages, behind):
            width = behind.hidden_dim
            multiplexer = ConcatMultiplexer(
                images_per_sequence,
                stages.grid_shape,
                default_strides(num_mux) if strides is None else strides,
                kernel_size,
                reducer,
                stages.num_prefix_tokens,
                return_sizes=proportional_attention,
                shuffle_slots=shuffle_slots,
                seed=seed,
                hidden_dim=None if width == stages.hidden_dim else width,
                dtype=stages.dtype_policy,
                name="multiplexer",
            )
            demultiplexer = ConcatDemultiplexer(
                images_per_sequence, dtype=stages.dtype_policy, name="demultiplexer"
            )
            return multiplexer, demultiplexer

        stages = plain_stages("vit", vit)
        if reducer == "select" and not stages.num_prefix_tokens:
            raise ValueError(
                "reducer='select' keeps what the class token attends to, and this ViT "
                "has none. Use another reducer. Received: reducer='select'"
            )
        if patchifier_depth is None:
            patchifier_depth = len(stages.blocks) // 2
            if reducer == "select":
                patchifier_depth = max(1, patchifier_depth)
        if reducer == "select" and patchifier_depth == 0:
            raise ValueError(
                "reducer='select' keeps what the class token attends to in the "
                "patchifier: `patchifier_depth` must be at least 1. Received: "
                "patchifier_depth=0"
            )
        super().__init__(
            vit, num_mux, make_pair, patchifier_depth, own_norm, backbone, name
        )
        multiplexer = self.get_layer("multiplexer")
        self.strides = multiplexer.strides
        self.kernel_size = multiplexer.kernel_size
        self.reducer = reducer
        self.attention_scope = attention_scope
        self.proportional_attention = proportional_attention
        self.own_norm = own_norm
        self.shuffle_slots = shuffle_slots
        self.seed = seed

    def multiplex(self, multiplexer, tokens, block_inputs, stages):
        if not multiplexer.needs_scores:
            return multiplexer(tokens)
        parts = stages.block_parts[len(block_inputs) - 1]
        class_attention = ClassAttention(
            parts.norm1,
            parts.attention,
            stages.num_prefix_tokens,
            dtype=stages.dtype_policy,
            name="class_attention",
        )
        return multiplexer(tokens, scores=class_attention(block_inputs[-1]))

    def run_backbone(self, multiplexed, blocks, prefix):
        if not isinstance(multiplexed, (tuple, list)):
            return super().run_backbone(multiplexed, blocks, prefix)
        tokens, log_sizes = multiplexed
        for block, parts in blocks:
            proportional = ProportionalBlock(
                parts, dtype=block.dtype_policy, name=prefix + block.name
            )
            tokens = proportional(tokens, log_sizes=log_sizes)
        return tokens

    def get_config(self):
        return {
            **super().get_config(),
            "strides": self.strides,
            "kernel_size": self.kernel_size,
            "reducer": self.reducer,
            "attention_scope": self.attention_scope,
            "proportional_attention": self.proportional_attention,
            "own_norm": self.own_norm,
            "shuffle_slots": self.shuffle_slots,
            "seed": self.seed,
            "backbone": serialized_vit(self.backbone),
        }
