"""Vision Transformers to wrap, and how their stages are read."""

from keras_concatplexer.vit.keras_cv import keras_cv_vit
from keras_concatplexer.vit.sizes import SIZES, ViTSize
from keras_concatplexer.vit.stages import Stages, read_stages

__all__ = ["SIZES", "Stages", "ViTSize", "keras_cv_vit", "read_stages"]
