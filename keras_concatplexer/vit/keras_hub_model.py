"""The ViT around a keras-hub backbone, and how it is read."""

import keras

from keras_concatplexer.vit.heads import make_head, pool
from keras_concatplexer.vit.keras_hub_classifiers import DEIT, VIT
from keras_concatplexer.vit.keras_hub_encoders import CLIP, DINOV2, SIGLIP
from keras_concatplexer.vit.keras_hub_family import import_keras_hub
from keras_concatplexer.vit.sizes import checked_image_shape
from keras_concatplexer.vit.stages import Stages, ViT

DATA_FORMAT = "channels_last"
FAMILIES = {
    "ViTBackbone": VIT,
    "DeiTBackbone": DEIT,
    "DINOV2Backbone": DINOV2,
    "CLIPVisionEncoder": CLIP,
    "SigLIPVisionEncoder": SIGLIP,
}
REFUSED = {
    "DINOV3Backbone": "each of its blocks takes rotary positions beside the tokens.",
    "SwinTransformerBackbone": (
        "its blocks attend within windows of a grid that shrinks, not to a sequence."
    ),
}


@keras.saving.register_keras_serializable(package="keras_concatplexer")
class KerasHubViT(ViT):
    """A ViT made of a keras-hub backbone's layers and a head.

    Built by `keras_hub_vit`. Its graph holds the backbone's own embedding, blocks
    and final norm, then the pooling and a float32 head: training it trains the
    backbone. It is saved with the backbone's config, from which it is built anew,
    because keras-hub's inner layers cannot be made from theirs.

    The features are the normed class token; of a `SigLIPVisionEncoder`, what its
    attention pooling makes of all tokens. A DeiT's distillation token and DINOv2's
    registers are further tokens in front of the patches, which the head does not read.

    Args:
        backbone: of keras-hub, channels last: `ViTBackbone` (with a class token),
            `DeiTBackbone`, `DINOV2Backbone`, `CLIPVisionEncoder` or
            `SigLIPVisionEncoder`. Its layers are used, not copied.
        num_classes: int; or `None` for a model without a classifier, whose output is
            the features.
        name: str.
        normalize: bool. Whether the features have length 1. Not for a classifier.

    Input: float images `(batch_size, height, width, channels)`, preprocessed as
        the backbone expects.
    Output: float32 logits `(batch_size, num_classes)`, or features
        `(batch_size, hidden_dim)`.

    Raises:
        ImportError: if keras-hub is not installed.
        ValueError: if an argument is invalid, or the backbone cannot be wrapped.
    """

    def __init__(self, backbone, num_classes, name="keras_hub_vit", normalize=False):
        # === Layers ===
        head = make_head(num_classes, normalize)
        family = family_of(backbone)
        if not backbone.trainable:
            # Given to its constructor, this has not reached its layers yet.
            for layer in backbone.layers:
                layer.trainable = False
        embedding, blocks = family.embedding(backbone), family.blocks(backbone)
        norm, pooling = family.norm(backbone), family.pooling_layer(backbone)
        _check_data_format(family.embedding_parts(embedding).projection)

        # === Functional Model ===
        images = keras.Input(tuple(backbone.image_shape), name="images")
        tokens = embedding(images)
        for block in blocks:
            tokens = block(tokens)
        super().__init__(images, head(pool(tokens, norm, pooling)), name=name)

        # === Config ===
        # Kept out of Keras' tracking: its layers are this model's already.
        object.__setattr__(self, "backbone", backbone)
        self.num_classes = num_classes
        self.normalize = normalize
        self._names = {
            "embedding": embedding.name,
            "norm": norm.name,
            "pooling": pooling and pooling.name,
            "head": head.name,
        }
        self._block_names = [block.name for block in blocks]
        self.note_weights()

    def read(self):
        backbone, family = self.backbone, family_of(self.backbone)
        blocks = tuple(map(self.get_layer, self._block_names))
        embedding_parts = family.embedding_parts(
            self.get_layer(self._names["embedding"])
        )
        height, width, _ = image_shape = tuple(backbone.image_shape)
        patch_height, patch_width = embedding_parts.projection.kernel_size
        return Stages(
            **{
                part: name and self.get_layer(name)
                for part, name in self._names.items()
            },
            blocks=blocks,
            image_shape=image_shape,
            grid_shape=(height // patch_height, width // patch_width),
            hidden_dim=backbone.hidden_dim,
            mlp_dim=getattr(backbone, family.mlp_dim),
            num_classes=self.num_classes,
            dtype_policy=blocks[0].dtype_policy,
            embedding_parts=embedding_parts,
            block_parts=tuple(map(family.block_parts, blocks)),
            pooling_parts=family.pooling_parts(backbone),
        )

    def rebuilt(self, image_shape, num_classes):
        config = {
            **self.backbone.get_config(),
            "image_shape": checked_image_shape(image_shape, self.backbone.patch_size),
            "data_format": DATA_FORMAT,
        }
        backbone = type(self.backbone).from_config(config)
        normalize = self.normalize and num_classes is None
        return KerasHubViT(backbone, num_classes, self.name, normalize)

    def get_config(self):
        backbone = keras.saving.serialize_keras_object(self.backbone)
        backbone.pop("compile_config", None)
        # keras-hub leaves it out, and would take the global setting.
        backbone["config"]["data_format"] = DATA_FORMAT
        return {
            **super().get_config(),
            "backbone": backbone,
            "num_classes": self.num_classes,
            "normalize": self.normalize,
        }

    @classmethod
    def read_config(cls, config, custom_objects=None):
        import_keras_hub()  # It registers the backbones.
        backbone = keras.saving.deserialize_keras_object(
            config["backbone"], custom_objects=custom_objects
        )
        return {**config, "backbone": backbone}


def family_of(backbone):
    """Returns the `Family` of a keras-hub backbone that can be wrapped.

    Raises:
        ValueError: if it cannot; the message says why.
    """
    models = import_keras_hub().models
    kind = next(
        (name for name in FAMILIES if isinstance(backbone, getattr(models, name))), None
    )
    if kind is None:
        reasons = [
            f" A {name} cannot be: {reason}"
            for name, reason in REFUSED.items()
            if isinstance(backbone, getattr(models, name, ()))
        ]
        raise ValueError(
            f"`backbone` must be one of keras-hub's {', '.join(FAMILIES)}."
            f"{''.join(reasons)} Received: {backbone!r} of type "
            f"{type(backbone).__name__}"
        )
    family = FAMILIES[kind]
    if (reason := family.refusal(backbone)) is not None:
        raise ValueError(f"This {kind} cannot be wrapped: {reason}")
    return family


def _check_data_format(projection):
    if projection.data_format != DATA_FORMAT:
        raise ValueError(
            "Images come as (height, width, channels): build the backbone with "
            f"data_format={DATA_FORMAT!r}. Received: "
            f"data_format={projection.data_format!r}"
        )
