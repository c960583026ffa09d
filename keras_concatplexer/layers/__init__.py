"""Keras layers of the multiplexing path, on any Keras backend."""

from keras_concatplexer.layers.concat_demultiplexer import ConcatDemultiplexer
from keras_concatplexer.layers.concat_multiplexer import ConcatMultiplexer
from keras_concatplexer.layers.slot_embedding import SlotEmbedding
from keras_concatplexer.layers.token_reduction import ConvTokenReduction

__all__ = [
    "ConcatDemultiplexer",
    "ConcatMultiplexer",
    "ConvTokenReduction",
    "SlotEmbedding",
]
