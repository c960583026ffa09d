"""Multiplexed Vision Transformers."""

from keras_concatplexer.models.concatplexer import ConcatPlexer
from keras_concatplexer.models.presets import from_preset, list_presets

__all__ = ["ConcatPlexer", "from_preset", "list_presets"]
