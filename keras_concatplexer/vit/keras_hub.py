"""Builds ViTs from keras-hub: a backbone, a preset or a named size."""

import os

import keras
import numpy as np

from keras_concatplexer.preprocessing import ImagePreprocessor
from keras_concatplexer.vit.heads import HEAD
from keras_concatplexer.vit.keras_hub_family import import_keras_hub
from keras_concatplexer.vit.keras_hub_model import KerasHubViT
from keras_concatplexer.vit.resolution import at_resolution
from keras_concatplexer.vit.sizes import (
    SIZES,
    ViTSize,
    checked_image_shape,
    get_size,
)


def keras_hub_vit(
    backbone: str | os.PathLike | ViTSize | keras.Model,
    num_classes: int | None = None,
    image_shape: tuple[int, int, int] | None = None,
    dropout_rate: float | None = None,
    attention_dropout: float | None = None,
    dtype: str | keras.DTypePolicy | None = None,
    name: str | None = None,
    normalize: bool = False,
) -> keras.Model:
    """Builds a Vision Transformer from keras-hub, on any Keras backend.

    The model's layers are those of the backbone (arXiv 2010.11929), then a float32
    head on the features, if it is to be a classifier. The backbone carries its own
    dtype policy; the global one does not matter once it is built. Needs the extra
    `hub`.

    Args:
        backbone: one of
            - a backbone of `keras_hub.models`: `ViTBackbone`, `DeiTBackbone`,
              `DINOV2Backbone`, `CLIPVisionEncoder`, `SigLIPVisionEncoder`, or a
              `CLIPBackbone` or `SigLIPBackbone` for its vision encoder. Its layers
              are used, not copied, unless `image_shape` differs from its own;
            - a name in `keras_concatplexer.vit.SIZES`, or a `ViTSize`: fresh
              weights, for images of `image_shape`;
            - any other str: a preset of keras-hub with its trained weights, by
              name, handle or local folder;
            - a `keras_hub.models.ViTImageClassifier` or `DeiTImageClassifier`
              that reads the class token, for its backbone and its trained head.
        num_classes: int. `None`: no classifier, the output is the features; but with
            a classifier of keras-hub, its head is copied, without its activation.
        image_shape: `(height, width, channels)`; square but for ViT and DeiT. Where
            the backbone has another resolution, a copy of it is made with
            interpolated positions (see `at_resolution`). `None`: the backbone's.
        dropout_rate: float or `None`. Rate on the embedding and in the MLPs in
            training. `None`: the preset's, or 0 for a size.
        attention_dropout: float or `None`. Rate on the attention weights in
            training. `None`: the preset's, or 0 for a size.
        dtype: dtype policy of the backbone. `None`: the global one, to which
            keras-hub also converts a preset that is not quantized.
        name: str. The model's name; the size's by default.
        normalize: bool. Whether the features have length 1. Not for a classifier.

    Returns:
        `KerasHubViT`: float images `(batch_size, *image_shape)` -> float32 logits
        `(batch_size, num_classes)`, or features `(batch_size, hidden_dim)`.

    Raises:
        ImportError: if keras-hub is not installed.
        ValueError: for an unknown name, a backbone that cannot be wrapped, an image
            shape that does not fit, a size without one, a classifier that does not
            read the class token alone, or options beside a backbone that is built
            already.

    Example:

    >>> vit = keras_hub_vit("vit_nano4", num_classes=10, image_shape=(8, 12, 3))
    >>> vit(np.zeros((2, 8, 12, 3))).shape
    TensorShape([2, 10])
    """
    classifier = None
    if num_classes is None and _is_classifier(backbone):
        classifier = _checked_classifier(backbone)
        num_classes = classifier.num_classes
    options = {
        "dropout_rate": dropout_rate,
        "attention_dropout": attention_dropout,
        "dtype": dtype,
    }
    options = {key: value for key, value in options.items() if value is not None}
    if isinstance(backbone, os.PathLike):
        backbone = os.fspath(backbone)
    has_name = isinstance(backbone, str) and backbone in SIZES
    if name is None:
        name = backbone if has_name else "keras_hub_vit"
    if has_name or isinstance(backbone, ViTSize):
        backbone = _backbone_of_size(backbone, image_shape, options)
    elif isinstance(backbone, str):
        backbone = _backbone_of_preset(backbone, options)
    elif options:
        raise ValueError(
            "A backbone that is built already has its own options: pass "
            f"{', '.join(options)} to its constructor. Received: {options}"
        )
    for inner in ("backbone", "vision_encoder"):
        backbone = getattr(backbone, inner, backbone)
    vit = KerasHubViT(backbone, num_classes, name, normalize)
    if classifier is not None:
        vit.get_layer(HEAD).set_weights(classifier.output_dense.get_weights())
    if image_shape is None or tuple(image_shape) == tuple(backbone.image_shape):
        return vit
    return at_resolution(vit, image_shape)


def keras_hub_preprocessor(
    preset: str | os.PathLike, image_shape: tuple[int, int, int] | None = None
) -> ImagePreprocessor:
    """Builds the preprocessing with which a keras-hub preset was trained.

    Mean, standard deviation and way of resizing are the preset's own, read from its
    image converter.

    Args:
        preset: str or path. A preset by name, handle or local folder.
        image_shape: `(height, width, channels)` of the model's images, as given to
            `keras_hub_vit`; `None`: the converter's size, 3 channels.

    Returns:
        `preprocessing.ImagePreprocessor`, from values 0 to 255.

    Raises:
        ImportError: if keras-hub is not installed.
        ValueError: if keras-hub finds no image converter in the preset.
    """
    converter_class = import_keras_hub().layers.ImageConverter
    try:
        converter = converter_class.from_preset(os.fspath(preset))
    except (ValueError, FileNotFoundError) as error:
        raise ValueError(
            f"keras-hub finds no image converter in {preset!r}, so its mean and "
            "standard deviation are not known: make an `ImagePreprocessor` with "
            f"those of its training. keras-hub says: {error}"
        ) from error
    size = converter.image_size if image_shape is None else tuple(image_shape)[:2]
    if size is None:
        raise ValueError(
            f"The image converter of {preset!r} has no size. Pass image_shape="
            "(height, width, channels)."
        )
    channels = 3 if image_shape is None else tuple(image_shape)[2]
    # keras-hub: value * scale + offset. Here: (value / 255 - mean) / std.
    scale = np.asarray(1.0 if converter.scale is None else converter.scale)
    offset = np.asarray(0.0 if converter.offset is None else converter.offset)
    std = 1 / (255 * scale)
    return ImagePreprocessor(
        (*size, channels),
        mean=-offset * std,
        std=std,
        resizing=keras.layers.Resizing(
            *size,
            interpolation=converter.interpolation,
            crop_to_aspect_ratio=converter.crop_to_aspect_ratio,
            pad_to_aspect_ratio=converter.pad_to_aspect_ratio,
            antialias=converter.antialias,
            data_format="channels_last",
            dtype="float32",
        ),
    )


def _backbone_of_size(size, image_shape, options):
    config = get_size(size)
    if image_shape is None:
        raise ValueError(
            "A size has no image shape of its own: pass image_shape=(height, width, "
            f"channels). Received: backbone={size!r}, image_shape=None"
        )
    return import_keras_hub().models.ViTBackbone(
        image_shape=checked_image_shape(image_shape, config.patch_size),
        patch_size=config.patch_size,
        num_layers=config.num_layers,
        num_heads=config.num_heads,
        hidden_dim=config.hidden_dim,
        mlp_dim=config.mlp_dim,
        data_format="channels_last",
        **options,
    )


def _backbone_of_preset(preset, options):
    models = import_keras_hub().models
    try:
        return models.Backbone.from_preset(preset, **options)
    except ValueError as error:
        raise ValueError(
            f"{preset!r} is not a size ({', '.join(SIZES)}), and keras-hub could not "
            f"load it as a preset: {error}"
        ) from error


def _is_classifier(model):
    if isinstance(model, (str, os.PathLike, ViTSize)):
        return False
    return isinstance(model, import_keras_hub().models.ImageClassifier)


def _checked_classifier(classifier):
    models = import_keras_hub().models
    known = (models.ViTImageClassifier, models.DeiTImageClassifier)
    if not isinstance(classifier, known):
        raise ValueError(
            "Only the head of a ViTImageClassifier or DeiTImageClassifier can be kept. "
            "Pass its `backbone`, or `num_classes` for a new head. Received: "
            f"num_classes=None, a {type(classifier).__name__}"
        )
    # Only the ViT's can have a layer in front of the head.
    in_front = getattr(classifier, "intermediate_dim", None)
    if classifier.pooling != "token" or in_front is not None:
        raise ValueError(
            "Only a head on the class token, with no layer in front, can be kept. "
            "Pass `num_classes` for a new one. Received: "
            f"pooling={classifier.pooling!r}, intermediate_dim={in_front}"
        )
    return classifier
