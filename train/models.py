"""The model of a run."""

import keras_concatplexer as kcp

from .data.fitting import fitting_size
from .init_from import load_initial


def build_model(config, image_shape, class_names, initial=None):
    """Builds the model that a `Config` describes.

    Args:
        config: `Config`.
        image_shape: `(height, width, channels)`.
        class_names: tuple of str; none for a model of features.
        initial: `Initial` of the settings' `init_from`, or `None`.

    Raises:
        ValueError: if the parts do not fit.
    """
    if initial is None:
        size = fitting_size(config.size, image_shape[0])
        vit = kcp.vit.keras_cv_vit(size, image_shape, len(class_names) or None)
    else:
        vit = initial.vit_for(image_shape, class_names)
    backbone = _backbone(config, image_shape, class_names, initial)
    model = vit if config.model == "vit" else _multiplexed(config, vit, backbone)
    if initial is not None:
        initial.hand_over_multiplexers(model)
    if config.freeze_backbone:
        for frozen in (vit, backbone or vit):
            stages = kcp.vit.read_stages(frozen)
            for layer in (stages.embedding, *stages.blocks):
                layer.trainable = False
    return model


def _backbone(config, image_shape, class_names, initial):
    """Returns the second ViT of a run, or `None`."""
    if config.backbone in kcp.vit.SIZES:
        num_classes = len(class_names) or None
        return kcp.vit.keras_cv_vit(config.backbone, image_shape, num_classes)
    if config.backbone:
        return load_initial(config.backbone).vit_for(image_shape, class_names)
    if initial is None or initial.backbone is None:
        return None
    if config.model != "concatplexer":
        initial.say("its second ViT is dropped: a concatplexer alone has one.")
        return None
    return initial.backbone_for(image_shape, class_names)


def _multiplexed(config, vit, backbone):
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
        "backbone": backbone,
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
        in_place_weight=config.in_place_weight,
        in_place_temperature=config.in_place_temperature,
    )
