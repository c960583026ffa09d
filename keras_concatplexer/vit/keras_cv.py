"""A ViT classifier of public keras-cv layers, and the adapter that reads it."""

import functools

import keras

from keras_concatplexer.arguments import positive_int
from keras_concatplexer.vit.image_shape import checked_image_shape
from keras_concatplexer.vit.parts import BlockParts, EmbeddingParts
from keras_concatplexer.vit.sizes import ViTSize, get_size

EMBEDDING, BLOCK, NORM, HEAD = "embedding", "block", "final_norm", "head"


def keras_cv_vit(size, image_shape, num_classes, attention_dropout=0.0, name=None):
    """Builds a Vision Transformer classifier from keras-cv's public layers.

    Patch embedding, class token, learned positions, pre-norm blocks with tanh
    GELU, final norm, class token, dense head (arXiv 2010.11929). These layers
    follow the global dtype policy, so set that first, and need the TensorFlow
    backend. The head computes in float32.

    Args:
        size: a name in `keras_concatplexer.vit.SIZES`, or a `ViTSize`.
        image_shape: `(height, width, channels)`, square, in pixels.
        num_classes: int.
        attention_dropout: float. Rate on the attention weights in training.
            keras-cv's MLP dropout cannot be trained under Keras 3, so it is 0.
        name: str. The model's name; the size's by default.

    Returns:
        `keras.Model`: float images `(batch_size, *image_shape)` -> float32 logits
        `(batch_size, num_classes)`.

    Raises:
        ValueError: for an unknown size, an image that is not square, or whose
            side the patch size does not divide, or a bad number of classes.
    """
    import keras_cv

    config = get_size(size)
    image_shape = _checked_square(image_shape, config.patch_size)
    positive_int("num_classes", num_classes)
    inputs = keras.Input(image_shape, name="images")
    tokens = keras_cv.layers.PatchingAndEmbedding(
        config.hidden_dim, config.patch_size, name=EMBEDDING
    )(inputs)
    for index in range(config.num_layers):
        tokens = keras_cv.layers.TransformerEncoder(
            project_dim=config.hidden_dim,
            num_heads=config.num_heads,
            mlp_dim=config.mlp_dim,
            mlp_dropout=0.0,
            attention_dropout=attention_dropout,
            name=f"{BLOCK}_{index}",
        )(tokens)
    tokens = keras.layers.LayerNormalization(epsilon=1e-6, name=NORM)(tokens)
    logits = keras.layers.Dense(num_classes, dtype="float32", name=HEAD)(tokens[:, 0])
    if name is None:
        name = size if isinstance(size, str) else "vit"
    return keras.Model(inputs, logits, name=name)


def _checked_square(image_shape, patch_size):
    height, width, _ = checked_image_shape(image_shape, patch_size)
    if height != width:
        raise ValueError(
            "keras-cv's patch embedding is right for square images only. "
            f"Received: image_shape={tuple(image_shape)}"
        )
    return tuple(image_shape)


def matches(vit):
    """Whether `vit` is a model as `keras_cv_vit` builds it."""
    return isinstance(vit, keras.Model) and any(
        layer.name == EMBEDDING and type(layer).__module__.startswith("keras_cv.")
        for layer in vit.layers
    )


def read(vit):
    """Returns the fields of `Stages` for a model of `keras_cv_vit`."""
    embedding = vit.get_layer(EMBEDDING)
    _check_dtype_policy(embedding)
    blocks = tuple(layer for layer in vit.layers if layer.name.startswith(f"{BLOCK}_"))
    image_shape = tuple(vit.input_shape[1:])
    height, width, _ = image_shape
    patch_size = embedding.patch_size
    return {
        "embedding": embedding,
        "blocks": blocks,
        "image_shape": image_shape,
        "grid_shape": (height // patch_size, width // patch_size),
        "num_prefix_tokens": 1,
        "hidden_dim": embedding.project_dim,
        "mlp_dim": blocks[0].mlp_dim,
        "num_classes": vit.get_layer(HEAD).units,
        "dtype_policy": embedding.dtype_policy,
        "embedding_parts": EmbeddingParts(
            projection=embedding.projection,
            prefix=(embedding.class_token,),
            positions=embedding.position_embedding.embeddings,
        ),
        "block_parts": tuple(map(_block_parts, blocks)),
        "norm": vit.get_layer(NORM),
        "head": vit.get_layer(HEAD),
    }


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


def rebuild(vit, image_shape):
    """Returns a new ViT like `vit`, for other images, with fresh weights."""
    embedding, block = vit.get_layer(EMBEDDING), vit.get_layer(f"{BLOCK}_0")
    size = ViTSize(
        hidden_dim=embedding.project_dim,
        num_layers=len(read(vit)["blocks"]),
        num_heads=block.num_heads,
        mlp_dim=block.mlp_dim,
        patch_size=embedding.patch_size,
    )
    return keras_cv_vit(
        size,
        image_shape,
        vit.get_layer(HEAD).units,
        attention_dropout=block.attention_dropout,
        name=vit.name,
    )


def position_embedding(vit):
    """Returns the variable of the positions, `(1 + P, D)`."""
    return vit.get_layer(EMBEDDING).position_embedding.embeddings


def _check_dtype_policy(embedding):
    # A layer takes its own policy from the file, but its parts, made anew, take
    # the global one: the answers would differ without a word.
    made_under = embedding.dtype_policy.name
    current = keras.config.dtype_policy().name
    if {made_under, embedding.projection.dtype_policy.name} != {current}:
        raise ValueError(
            "keras-cv layers follow the global dtype policy. This ViT was made "
            f"under {made_under!r}, the global policy is {current!r}. Call "
            f"keras.config.set_dtype_policy({made_under!r}) before building or "
            "loading."
        )
