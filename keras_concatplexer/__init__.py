"""Several images in one forward pass of a Vision Transformer, for Keras 3."""

from keras_concatplexer import (
    analysis,
    bundle,
    flops,
    layers,
    metrics,
    models,
    preprocessing,
    vit,
)
from keras_concatplexer.budget import choose_num_mux
from keras_concatplexer.models import (
    ConcatPlexer,
    ElasticConcatPlexer,
    ImageMultiplexerViT,
    RetrievalWarmup,
    from_preset,
    list_presets,
)
from keras_concatplexer.version import __version__

__all__ = [
    "ConcatPlexer",
    "ElasticConcatPlexer",
    "ImageMultiplexerViT",
    "RetrievalWarmup",
    "__version__",
    "analysis",
    "bundle",
    "choose_num_mux",
    "flops",
    "from_preset",
    "layers",
    "list_presets",
    "metrics",
    "models",
    "preprocessing",
    "vit",
]
