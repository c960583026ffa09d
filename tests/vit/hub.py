"""Tiny backbones of keras-hub and images for them."""

import keras
import numpy as np
import pytest

keras_hub = pytest.importorskip("keras_hub")

IMAGE_SHAPE = (8, 12, 3)
SQUARE = (8, 8, 3)
# Name of the kind -> its class and what differs from the defaults.
KINDS = {
    "vit": ("ViTBackbone", {"mlp_dim": 48}),
    "deit": ("DeiTBackbone", {}),
    "dinov2": (
        "DINOV2Backbone",
        {"image_shape": SQUARE, "position_embedding_shape": (12, 12, 3)},
    ),
    "dinov2_registers": (
        "DINOV2Backbone",
        {
            "image_shape": SQUARE,
            "position_embedding_shape": SQUARE,
            "num_register_tokens": 3,
        },
    ),
    "clip": ("CLIPVisionEncoder", {"image_shape": SQUARE}),
    "siglip": ("SigLIPVisionEncoder", {"image_shape": SQUARE}),
}


def make_backbone(kind="vit", **options):
    name, own = KINDS[kind]
    defaults = {
        "image_shape": IMAGE_SHAPE,
        "patch_size": 4,
        "num_layers": 2,
        "num_heads": 2,
        "hidden_dim": 32,
    }
    if kind != "vit":
        defaults["intermediate_dim"] = 48
    return getattr(keras_hub.models, name)(**{**defaults, **own, **options})


def make_trained(kind, **options):
    """A backbone none of whose float weights has the value it starts with.

    The same options give the same weights, whatever the dtype.
    """
    keras.utils.set_random_seed(0)
    backbone = make_backbone(kind, **options)
    random = np.random.default_rng(0)
    for weight in backbone.weights:
        if "float" in weight.dtype:
            noise = random.normal(scale=0.2, size=weight.shape)
            weight.assign(weight + noise.astype("float32"))
    return backbone


def make_images(batch_size=3, image_shape=IMAGE_SHAPE):
    values = np.random.default_rng(0).normal(size=(batch_size, *image_shape))
    return values.astype("float32")
