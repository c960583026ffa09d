"""Keras layers of the multiplexing path, on any Keras backend."""

from keras_concatplexer.layers.concat_demultiplexer import ConcatDemultiplexer
from keras_concatplexer.layers.concat_multiplexer import ConcatMultiplexer
from keras_concatplexer.layers.conv_token_reduction import ConvTokenReduction
from keras_concatplexer.layers.mean_token_reduction import MeanTokenReduction
from keras_concatplexer.layers.select_token_reduction import (
    ClassAttention,
    SelectTokenReduction,
)
from keras_concatplexer.layers.slot_embedding import SlotEmbedding
from keras_concatplexer.layers.tome_token_reduction import ToMeTokenReduction

__all__ = [
    "ClassAttention",
    "ConcatDemultiplexer",
    "ConcatMultiplexer",
    "ConvTokenReduction",
    "MeanTokenReduction",
    "SelectTokenReduction",
    "SlotEmbedding",
    "ToMeTokenReduction",
]
