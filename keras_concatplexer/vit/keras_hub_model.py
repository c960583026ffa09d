"""The ViT classifier around a keras-hub backbone, and how it is read."""

import keras

from keras_concatplexer.arguments import positive_int
from keras_concatplexer.vit.sizes import checked_image_shape
from keras_concatplexer.vit.stages import BlockParts, EmbeddingParts, Stages, ViT

# Layer names: of keras-hub, but for the last.
BLOCK, NORM, HEAD = "transformer_block", "ln", "head"


def import_keras_hub():
    """Returns the module `keras_hub`.

    Raises:
        ImportError: if it cannot be imported; the message says how to install it.
    """
    try:
        import keras_hub
    except ImportError as error:
        raise ImportError(
            "ViTs of keras-hub need the package keras-hub, an optional extra: "
            f"pip install 'keras-concatplexer[hub]'. The import failed with: {error}"
        ) from error
    return keras_hub


class DroppedEmbedding(keras.layers.Layer):
    """A keras-hub embedding, then the dropout that its encoder begins with.

    Args:
        embedding: layer, images -> tokens.
        dropout: layer, tokens -> tokens.

    Both are used, not copied. Shapes are those of `embedding`. The classifier
    rebuilds this layer from its backbone, so it has no config of its own.
    """

    def __init__(self, embedding, dropout):
        super().__init__(dtype=embedding.dtype_policy, name=embedding.name)
        self.embedding = embedding
        self.dropout = dropout

    def build(self, images_shape):
        self.built = True

    def call(self, images):
        return self.dropout(self.embedding(images))

    def compute_output_shape(self, images_shape):
        return self.embedding.compute_output_shape(images_shape)


class TokensOfBlock(keras.layers.Layer):
    """A DeiT block of keras-hub without the attention scores it also returns.

    Args:
        block: layer, tokens -> (tokens, scores). It is used, not copied.

    Input and output shape: `(batch_size, num_tokens, hidden_dim)`. The classifier
    rebuilds this layer from its backbone, so it has no config of its own.
    """

    def __init__(self, block):
        super().__init__(dtype=block.dtype_policy, name=block.name)
        self.block = block

    def build(self, tokens_shape):
        self.built = True

    def call(self, tokens):
        return self.block(tokens)[0]

    def compute_output_shape(self, tokens_shape):
        return tuple(tokens_shape)


@keras.saving.register_keras_serializable(package="keras_concatplexer")
class KerasHubViT(ViT):
    """A ViT classifier made of a keras-hub backbone's layers and a dense head.

    Built by `keras_hub_vit`. Its graph holds the backbone's own embedding, blocks
    and final norm, then the class token and a float32 head: training it trains
    the backbone. It is saved with the backbone's config, from which it is built
    anew, because keras-hub's inner layers cannot be made from theirs.

    A DeiT's distillation token is a second token in front of the patches. The
    head reads the class token alone, as keras-hub's `DeiTImageClassifier` does.

    Args:
        backbone: `keras_hub.models.ViTBackbone` or `DeiTBackbone`, channels last,
            with a class token. Its layers are used, not copied.
        num_classes: int.
        name: str.

    Input: float images `(batch_size, height, width, channels)`, preprocessed as
        the backbone expects.
    Output: float32 logits `(batch_size, num_classes)`.

    Raises:
        ImportError: if keras-hub is not installed.
        ValueError: if an argument is invalid.
    """

    def __init__(self, backbone, num_classes, name="keras_hub_vit"):
        # === Layers ===
        positive_int("num_classes", num_classes)
        kind = _checked_kind(backbone)
        if not backbone.trainable:
            # Given to its constructor, this has not reached its layers yet.
            for layer in backbone.layers:
                layer.trainable = False
        encoder = backbone.get_layer(f"{kind}_encoder")
        embedding = backbone.get_layer(_embedding_name(kind))
        blocks = encoder.encoder_layers
        if kind == "deit":
            # Its embedding has the dropout inside.
            blocks = [TokensOfBlock(block) for block in blocks]
        elif backbone.dropout_rate:
            embedding = DroppedEmbedding(embedding, encoder.dropout)
        head = keras.layers.Dense(num_classes, dtype="float32", name=HEAD)

        # === Functional Model ===
        images = keras.Input(tuple(backbone.image_shape), name="images")
        tokens = embedding(images)
        for block in blocks:
            tokens = block(tokens)
        # Of the class token alone, as in a multiplexed model: the features.
        features = encoder.layer_norm(tokens[:, 0])
        super().__init__(images, head(features), name=name)

        # === Config ===
        # Kept out of Keras' tracking: its layers are this model's already.
        object.__setattr__(self, "backbone", backbone)
        self.num_classes = num_classes
        self.note_weights()

    def read(self):
        backbone = self.backbone
        kind = _kind(backbone)
        embedding = backbone.get_layer(_embedding_name(kind))
        blocks = tuple(
            self.get_layer(f"{BLOCK}_{index + 1}")
            for index in range(backbone.num_layers)
        )
        height, width, _ = backbone.image_shape
        patch_height, patch_width = backbone.patch_size
        positions = embedding.position_embedding
        prefix = (embedding.class_token,)
        if kind == "deit":
            prefix += (embedding.distillation_token,)
        return Stages(
            embedding=self.get_layer(_embedding_name(kind)),
            blocks=blocks,
            image_shape=tuple(backbone.image_shape),
            grid_shape=(height // patch_height, width // patch_width),
            num_prefix_tokens=len(prefix),
            hidden_dim=backbone.hidden_dim,
            mlp_dim=backbone.mlp_dim if kind == "vit" else backbone.intermediate_dim,
            num_classes=self.num_classes,
            dtype_policy=blocks[0].dtype_policy,
            embedding_parts=EmbeddingParts(
                projection=embedding.patch_embedding,
                prefix=prefix,
                # A DeiT's is the variable itself.
                positions=getattr(positions, "embeddings", positions),
            ),
            block_parts=tuple(
                _vit_block_parts(block)
                if kind == "vit"
                else _deit_block_parts(block.block)
                for block in blocks
            ),
            norm=self.get_layer(NORM),
            head=self.get_layer(HEAD),
        )

    def rebuilt(self, image_shape, num_classes):
        config = {
            **self.backbone.get_config(),
            "image_shape": checked_image_shape(image_shape, self.backbone.patch_size),
            "data_format": self.backbone.data_format,
        }
        backbone = type(self.backbone).from_config(config)
        return KerasHubViT(backbone, num_classes, self.name)

    def get_config(self):
        backbone = keras.saving.serialize_keras_object(self.backbone)
        backbone.pop("compile_config", None)
        # keras-hub leaves it out, and would take the global setting.
        backbone["config"]["data_format"] = self.backbone.data_format
        return {
            **super().get_config(),
            "backbone": backbone,
            "num_classes": self.num_classes,
        }

    @classmethod
    def read_config(cls, config, custom_objects=None):
        import_keras_hub()  # It registers the backbones.
        backbone = keras.saving.deserialize_keras_object(
            config["backbone"], custom_objects=custom_objects
        )
        return {**config, "backbone": backbone}


def _kind(backbone):
    models = import_keras_hub().models
    if isinstance(backbone, models.ViTBackbone):
        return "vit"
    if isinstance(backbone, models.DeiTBackbone):
        return "deit"
    raise ValueError(
        "`backbone` must be a `ViTBackbone` or a `DeiTBackbone` of keras-hub. "
        f"Received: {backbone!r} of type {type(backbone).__name__}"
    )


def _checked_kind(backbone):
    kind = _kind(backbone)
    if kind == "vit" and not backbone.use_class_token:
        raise ValueError(
            "The head reads the class token, and this backbone has none. Build it "
            "with use_class_token=True. Received: use_class_token=False"
        )
    if backbone.data_format != "channels_last":
        raise ValueError(
            "Images come as (height, width, channels): build the backbone with "
            "data_format='channels_last'. Received: "
            f"data_format={backbone.data_format!r}"
        )
    return kind


def _embedding_name(kind):
    return f"{kind}_patching_and_embedding"


def _vit_block_parts(block):
    return BlockParts(
        norm1=block.layer_norm_1,
        attention=block.mha,
        norm2=block.layer_norm_2,
        mlp_in=block.mlp.dense_1,
        mlp_out=block.mlp.dense_2,
        activation=block.mlp.dense_1.activation,
        dropouts=(block.dropout, block.mlp.dropout, block.mlp.dropout),
    )


def _deit_block_parts(block):
    return BlockParts(
        norm1=block.layer_norm_1,
        attention=block.mha,
        norm2=block.layer_norm_2,
        mlp_in=block.mlp.dense,
        mlp_out=block.output_layer.dense,
        activation=block.mlp.dense.activation,
        dropouts=(None, None, block.output_layer.dropout),
    )
