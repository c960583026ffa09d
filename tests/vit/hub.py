"""Tiny backbones of keras-hub and images for them."""

import numpy as np
import pytest

keras_hub = pytest.importorskip("keras_hub")

IMAGE_SHAPE = (8, 12, 3)
WIDTHS = {"vit": "mlp_dim", "deit": "intermediate_dim"}


def make_backbone(kind="vit", **options):
    models = {
        "vit": keras_hub.models.ViTBackbone,
        "deit": keras_hub.models.DeiTBackbone,
    }
    defaults = {
        "image_shape": IMAGE_SHAPE,
        "patch_size": 4,
        "num_layers": 2,
        "num_heads": 2,
        "hidden_dim": 32,
        WIDTHS[kind]: 48,
    }
    return models[kind](**{**defaults, **options})


def make_images(batch_size=3, image_shape=IMAGE_SHAPE):
    values = np.random.default_rng(0).normal(size=(batch_size, *image_shape))
    return values.astype("float32")
