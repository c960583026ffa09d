"""From the last block's tokens to a model's output: pooling, then the head."""

import keras

from keras_concatplexer.arguments import positive_int

HEAD, POOLING = "head", "pooling"


def pool(tokens, norm, pooling=None):
    """Returns the features of each image, `(batch_size, hidden_dim)`.

    Every kind of pooling is here.

    Args:
        tokens: `(batch_size, num_tokens, hidden_dim)`, out of the last block.
        norm: the final norm.
        pooling: layer, all normed tokens -> `(batch_size, hidden_dim)`; `None`: the
            first token, the class token, is the image's.
    """
    if pooling is None:
        return norm(tokens[:, 0])
    return pooling(norm(tokens))


def make_head(num_classes, normalize=False):
    """Returns what stands behind the pooling, a layer of float32 outputs.

    Args:
        num_classes: int, for a dense layer of logits; `None`: the features themselves.
        normalize: bool. Whether features are divided by their length, so that the
            product of two is their cosine.

    Raises:
        ValueError: for a bad number, or normalised logits.
    """
    if num_classes is not None:
        if normalize:
            raise ValueError(
                "`normalize` is for features: pass num_classes=None with it. Received: "
                f"normalize={normalize!r}, num_classes={num_classes!r}"
            )
        positive_int("num_classes", num_classes)
        return keras.layers.Dense(num_classes, dtype="float32", name=HEAD)
    if normalize:
        return keras.layers.UnitNormalization(dtype="float32", name=HEAD)
    return keras.layers.Identity(dtype="float32", name=HEAD)
