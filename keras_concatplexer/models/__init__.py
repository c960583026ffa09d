"""Multiplexed Vision Transformers."""

from keras_concatplexer.models.concatplexer import ConcatPlexer
from keras_concatplexer.models.elastic import ElasticConcatPlexer
from keras_concatplexer.models.image_multiplexer_vit import ImageMultiplexerViT
from keras_concatplexer.models.presets import from_preset, list_presets
from keras_concatplexer.models.retrieval_warmup import RetrievalWarmup
from keras_concatplexer.models.wrapped_vit import WrappedViT, by_num_mux, mixes_images

__all__ = [
    "ConcatPlexer",
    "ElasticConcatPlexer",
    "ImageMultiplexerViT",
    "RetrievalWarmup",
    "WrappedViT",
    "by_num_mux",
    "from_preset",
    "list_presets",
    "mixes_images",
]
