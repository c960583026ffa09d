"""Keras layers of the multiplexing path, on any Keras backend."""

from keras_concatplexer.layers.concat_demultiplexer import ConcatDemultiplexer
from keras_concatplexer.layers.concat_multiplexer import ConcatMultiplexer
from keras_concatplexer.layers.contextual_transform import ContextualTransform
from keras_concatplexer.layers.conv_token_reduction import ConvTokenReduction
from keras_concatplexer.layers.hadamard_transform import HadamardTransform
from keras_concatplexer.layers.holographic_binding import HolographicBinding
from keras_concatplexer.layers.image_demultiplexer import ImageDemultiplexer
from keras_concatplexer.layers.image_multiplexer import ImageMultiplexer
from keras_concatplexer.layers.index_prefix import IndexPrefix
from keras_concatplexer.layers.mean_token_reduction import MeanTokenReduction
from keras_concatplexer.layers.orthogonal_transform import OrthogonalTransform
from keras_concatplexer.layers.proportional_block import ProportionalBlock
from keras_concatplexer.layers.select_token_reduction import (
    ClassAttention,
    SelectTokenReduction,
)
from keras_concatplexer.layers.slot_conditioned_mlp import SlotConditionedMLP
from keras_concatplexer.layers.slot_embedding import SlotEmbedding
from keras_concatplexer.layers.slot_heads import SlotHeads
from keras_concatplexer.layers.tome_token_reduction import ToMeTokenReduction
from keras_concatplexer.layers.transformer_layer import TransformerLayer

__all__ = [
    "ClassAttention",
    "ConcatDemultiplexer",
    "ConcatMultiplexer",
    "ContextualTransform",
    "ConvTokenReduction",
    "HadamardTransform",
    "HolographicBinding",
    "ImageDemultiplexer",
    "ImageMultiplexer",
    "IndexPrefix",
    "MeanTokenReduction",
    "OrthogonalTransform",
    "ProportionalBlock",
    "SelectTokenReduction",
    "SlotConditionedMLP",
    "SlotEmbedding",
    "SlotHeads",
    "ToMeTokenReduction",
    "TransformerLayer",
]
