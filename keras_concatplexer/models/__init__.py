"""Multiplexed Vision Transformers."""

from keras_concatplexer.models.concatplexer import ConcatPlexer
from keras_concatplexer.models.elastic import ElasticConcatPlexer, models_by_num_mux
from keras_concatplexer.models.image_multiplexer_vit import ImageMultiplexerViT
from keras_concatplexer.models.presets import from_preset, list_presets
from keras_concatplexer.models.retrieval_warmup import RetrievalWarmup

__all__ = [
    "ConcatPlexer",
    "ElasticConcatPlexer",
    "ImageMultiplexerViT",
    "RetrievalWarmup",
    "from_preset",
    "list_presets",
    "models_by_num_mux",
]
