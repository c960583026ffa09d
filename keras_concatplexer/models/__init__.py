"""Multiplexed Vision Transformers."""

from keras_concatplexer.models.concatplexer import ConcatPlexer

__all__ = ["ConcatPlexer"]
