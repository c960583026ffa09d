"""A ViT classifier of public keras-cv layers, and how it is read."""

import dataclasses
import functools

import keras

from keras_concatplexer.vit.heads import HEAD, make_head, pool
from keras_concatplexer.vit.sizes import ViTSize, checked_image_shape, get_size
from keras_concatplexer.vit.stages import BlockParts, EmbeddingParts, Stages, ViT

EMBEDDING, BLOCK, NORM = "embedding", "block", "final_norm"


def keras_cv_vit(
    size: str | ViTSize,
    image_shape: tuple[int, int, int],
    num_classes: int | None,
    attention_dropout: float = 0.0,
    name: str | None = None,
    normalize: bool = False,
) -> keras.Model:
    """Builds a Vision Transformer classifier from keras-cv's public layers.

    Patch embedding, class token, learned positions, pre-norm blocks with tanh
    GELU, final norm of the class token, dense head (arXiv 2010.11929). These layers
    follow the global dtype policy, so set that first, and need the TensorFlow
    backend. They do not work under `keras.RematScope`: they make layers while they
    are called. The head computes in float32.

    Args:
        size: a name in `keras_concatplexer.vit.SIZES`, or a `ViTSize`.
        image_shape: `(height, width, channels)`, square, in pixels.
        num_classes: int; or `None` for a model without a classifier, whose output is
            the features, the normed class token.
        attention_dropout: float. Rate on the attention weights in training.
            keras-cv's MLP dropout cannot be trained under Keras 3, so it is 0.
        name: str. The model's name; the size's by default.
        normalize: bool. Whether the features have length 1. Not for a classifier.

    Returns:
        `KerasCVViT`, a functional `keras.Model`: float images
        `(batch_size, *image_shape)` -> float32 logits `(batch_size, num_classes)`, or
        features `(batch_size, hidden_dim)`.

    Raises:
        ValueError: for an unknown size, an image that is not square, or whose
            side the patch size does not divide, a bad number of classes, or another
            backend than TensorFlow.
    """
    if name is None:
        name = size if isinstance(size, str) else "vit"
    return KerasCVViT(
        *(get_size(size), image_shape, num_classes, attention_dropout, name),
        normalize=normalize,
    )


@keras.saving.register_keras_serializable(package="keras_concatplexer")
class KerasCVViT(ViT):
    """A ViT classifier of public keras-cv layers; `keras_cv_vit` builds it.

    Args:
        size: `ViTSize`.
        image_shape: `(height, width, channels)`, square, in pixels.
        num_classes: int or `None`.
        attention_dropout: float.
        name: str.
        dtype_policy: str or `None`. Name of the global dtype policy that must be set;
            `None`: whichever is.
        normalize: bool.

    Raises:
        ValueError: if an argument does not fit, or another backend, data format or
            dtype policy is set than the layers need.
    """

    def __init__(
        self,
        size,
        image_shape,
        num_classes,
        attention_dropout=0.0,
        name="vit",
        dtype_policy=None,
        normalize=False,
    ):
        _check_settings()
        if dtype_policy is not None:
            _check_policy(dtype_policy)
        image_shape = checked_image_shape(image_shape, size.patch_size)
        if image_shape[0] != image_shape[1]:
            raise ValueError(
                "keras-cv's patch embedding is right for square images only. "
                f"Received: image_shape={image_shape}"
            )
        import keras_cv

        # === Functional Model ===
        inputs = keras.Input(image_shape, name="images")
        tokens = keras_cv.layers.PatchingAndEmbedding(
            size.hidden_dim, size.patch_size, name=EMBEDDING
        )(inputs)
        for index in range(size.num_layers):
            tokens = keras_cv.layers.TransformerEncoder(
                project_dim=size.hidden_dim,
                num_heads=size.num_heads,
                mlp_dim=size.mlp_dim,
                mlp_dropout=0.0,
                attention_dropout=attention_dropout,
                name=f"{BLOCK}_{index}",
            )(tokens)
        norm = keras.layers.LayerNormalization(epsilon=1e-6, name=NORM)
        head = make_head(num_classes, normalize)
        super().__init__(inputs, head(pool(tokens, norm)), name=name)

        # === Config ===
        self.size = size
        self.image_shape = image_shape
        self.num_classes = num_classes
        self.attention_dropout = attention_dropout
        self.normalize = normalize
        self.note_weights()

    def read(self):
        embedding = self.get_layer(EMBEDDING)
        _check_policy(embedding.dtype_policy.name)
        blocks = tuple(
            self.get_layer(f"{BLOCK}_{index}") for index in range(self.size.num_layers)
        )
        rows = self.image_shape[0] // self.size.patch_size
        return Stages(
            embedding=embedding,
            blocks=blocks,
            image_shape=self.image_shape,
            grid_shape=(rows, rows),
            hidden_dim=self.size.hidden_dim,
            mlp_dim=self.size.mlp_dim,
            num_classes=self.num_classes,
            dtype_policy=embedding.dtype_policy,
            embedding_parts=EmbeddingParts(
                projection=embedding.projection,
                prefix=(embedding.class_token,),
                positions=embedding.position_embedding.embeddings,
            ),
            block_parts=tuple(map(_block_parts, blocks)),
            norm=self.get_layer(NORM),
            head=self.get_layer(HEAD),
        )

    def rebuilt(self, image_shape, num_classes):
        return KerasCVViT(
            *(self.size, image_shape, num_classes, self.attention_dropout, self.name),
            normalize=self.normalize and num_classes is None,
        )

    def get_config(self):
        return {
            **super().get_config(),
            "size": dataclasses.asdict(self.size),
            "image_shape": self.image_shape,
            "num_classes": self.num_classes,
            "attention_dropout": self.attention_dropout,
            "normalize": self.normalize,
            "dtype_policy": self.get_layer(EMBEDDING).dtype_policy.name,
        }

    @classmethod
    def read_config(cls, config, custom_objects=None):
        return {**config, "size": ViTSize(**config["size"])}


def _block_parts(block):
    activation = block.activation
    if activation == keras.activations.gelu:
        # As the block calls it.
        activation = functools.partial(activation, approximate=True)
    return BlockParts(
        norm1=block.layer_norm1,
        attention=block.attn,
        norm2=block.layer_norm2,
        mlp_in=block.dense1,
        mlp_out=block.dense2,
        activation=activation,
    )


def _check_settings():
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise ValueError(
            "keras-cv's ViT layers need the TensorFlow backend; use `keras_hub_vit` on "
            f"others. Received: backend={backend!r}"
        )
    data_format = keras.config.image_data_format()
    if data_format != "channels_last":
        raise ValueError(
            "keras-cv's ViT layers follow the global data format, and images come as "
            "(height, width, channels). Call "
            "keras.config.set_image_data_format('channels_last') first, or use "
            f"`keras_hub_vit`. Received: image_data_format={data_format!r}"
        )


def _check_policy(made_under):
    # The layers take the global policy where they are built and where they are called:
    # under another one the answers would differ without a word.
    current = keras.config.dtype_policy().name
    if made_under != current:
        raise ValueError(
            "keras-cv layers follow the global dtype policy. This ViT was made "
            f"under {made_under!r}, the global policy is {current!r}. Call "
            f"keras.config.set_dtype_policy({made_under!r}) before building or "
            "loading."
        )
