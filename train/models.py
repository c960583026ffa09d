"""The model of a run."""

import pathlib

import keras

import keras_concatplexer as kcp

HUB_PREFIX = "hub:"


def build_model(config, image_shape, num_classes):
    """Builds the model that a `Config` describes.

    Args:
        config: `Config`.
        image_shape: `(height, width, channels)`.
        num_classes: int.

    Raises:
        ValueError: if the parts do not fit, for example `init_from` has a ViT
            for other classes.
    """
    vit = build_vit(config, image_shape, num_classes)
    if config.model == "vit":
        model = vit
    else:
        model = _multiplexed(config, vit)
    if config.freeze_backbone:
        stages = kcp.vit.read_stages(vit)
        for layer in (stages.embedding, *stages.blocks):
            layer.trainable = False
    return model


def _multiplexed(config, vit):
    depth = (
        {}
        if config.patchifier_depth < 0
        else {"patchifier_depth": config.patchifier_depth}
    )
    if config.model == "image_multiplexer":
        return kcp.ImageMultiplexerViT(
            vit,
            num_mux=config.num_mux,
            transform=config.transform,
            demultiplexer=config.demultiplexer,
            seed=config.seed,
            **depth,
        )
    options = {
        "num_mux": config.num_mux,
        "reducer": config.reducer,
        "attention_scope": config.attention_scope,
        "shuffle_slots": config.shuffle_slots,
        "seed": config.seed,
        **depth,
    }
    if isinstance(config.num_mux, int):
        return kcp.ConcatPlexer(vit, **options)
    return kcp.ElasticConcatPlexer(
        vit,
        **options,
        num_mux_weights=config.num_mux_weights or None,
        own_norm=config.own_norm,
        in_place_weight=config.in_place_distillation,
    )


def build_vit(config, image_shape, num_classes):
    """Builds the ViT of a `Config`, with the weights of `init_from`."""
    init_from = config.init_from
    if not init_from:
        return kcp.vit.keras_cv_vit(config.size, image_shape, num_classes)
    if init_from.startswith(HUB_PREFIX):
        return _hub_vit(init_from.removeprefix(HUB_PREFIX), image_shape, num_classes)
    vit = _trained_vit(init_from)
    stages = kcp.vit.read_stages(vit)
    given, needed = stages.image_shape, tuple(image_shape)
    if (given[-1], stages.num_classes) != (needed[-1], num_classes):
        raise ValueError(
            f"The ViT in {init_from} takes images of {given} and has "
            f"{stages.num_classes} classes; the data has {needed} and {num_classes}."
        )
    # A file remembers what was frozen when it was saved, for single weights too.
    vit.trainable = True
    for weight in vit.weights:
        weight.trainable = keras.backend.is_float_dtype(weight.dtype)
    return vit if given == needed else kcp.vit.at_resolution(vit, needed)


def _trained_vit(path):
    if pathlib.Path(path).suffix == ".keras":
        model = _load_file(path)
    else:
        model = kcp.bundle.load_model(path)
    return model.vit if isinstance(model, kcp.models.WrappedViT) else model


def _load_file(path):
    try:
        return keras.saving.load_model(path, compile=False)
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"--init_from={path} cannot be loaded: {error}") from error


def _hub_vit(preset, image_shape, num_classes):
    try:
        return kcp.vit.keras_hub_vit(preset, num_classes, image_shape)
    except ImportError as error:
        raise ValueError(f"--init_from={HUB_PREFIX}{preset}: {error}") from error
