"""The model of a run."""

import keras_concatplexer as kcp


def build_model(config, image_shape, num_classes):
    """Builds the model that a `Config` describes.

    Args:
        config: `Config`.
        image_shape: `(height, width, channels)`.
        num_classes: int.

    Raises:
        ValueError: if the parts do not fit, for example `init_from` has a ViT
            for other images or classes.
    """
    if config.init_from:
        vit = _trained_vit(config.init_from, image_shape, num_classes)
    else:
        vit = kcp.vit.keras_cv_vit(config.size, image_shape, num_classes)
    if config.model == "vit":
        return vit
    depth = None if config.patchifier_depth < 0 else config.patchifier_depth
    return kcp.ConcatPlexer(
        vit,
        num_mux=config.num_mux,
        patchifier_depth=depth,
        attention_scope=config.attention_scope,
    )


def _trained_vit(workdir, image_shape, num_classes):
    model = kcp.bundle.load_model(workdir)
    vit = model.vit if isinstance(model, kcp.ConcatPlexer) else model
    stages = kcp.vit.read_stages(vit)
    expected = (image_shape, num_classes)
    if (stages.image_shape, stages.num_classes) != expected:
        raise ValueError(
            f"The ViT in {workdir} takes images of {stages.image_shape} and has "
            f"{stages.num_classes} classes; the data has {image_shape} and "
            f"{num_classes}."
        )
    return vit
