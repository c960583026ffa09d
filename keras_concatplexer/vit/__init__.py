"""Vision Transformers to wrap, and how their stages are read."""

from keras_concatplexer.vit.keras_cv import KerasCVViT, keras_cv_vit
from keras_concatplexer.vit.keras_hub import keras_hub_preprocessor, keras_hub_vit
from keras_concatplexer.vit.keras_hub_model import KerasHubViT
from keras_concatplexer.vit.resolution import at_resolution, with_classes
from keras_concatplexer.vit.sizes import SIZES, ViTSize
from keras_concatplexer.vit.stages import BlockParts, Stages, ViT, read_stages

__all__ = [
    "SIZES",
    "BlockParts",
    "KerasCVViT",
    "KerasHubViT",
    "Stages",
    "ViT",
    "ViTSize",
    "at_resolution",
    "keras_cv_vit",
    "keras_hub_preprocessor",
    "keras_hub_vit",
    "read_stages",
    "with_classes",
]
