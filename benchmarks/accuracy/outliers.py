"""A ViT with outlier channels, as large pre-trained ones have, that answers as before.

A few channels behind each norm become many times as large, and the products that read
them take them as many times smaller: in floats the answers stay. Ranges over whole
tensors then leave the other channels almost no integer.
"""

import keras
import numpy as np

import keras_concatplexer as kcp


def add_outliers(vit, num_channels=4, factor=40.0, seed=0):
    """Gives every norm in the blocks of a ViT some outlier channels, in place.

    Args:
        vit: ViT classifier. A model that multiplexes it has them, too.
        num_channels: int. Of each norm, drawn anew for each.
        factor: float. How many times as large they become.
        seed: int. Of the draw.
    """
    stages, rng = kcp.vit.read_stages(vit), np.random.default_rng(seed)
    for parts in stages.block_parts:
        attention = parts.attention
        readers = (attention.query_dense, attention.key_dense, attention.value_dense)
        for norm, products in ((parts.norm1, readers), (parts.norm2, [parts.mlp_in])):
            scale = np.ones(stages.hidden_dim, "float32")
            scale[rng.choice(stages.hidden_dim, num_channels, replace=False)] = factor
            for weight in (norm.gamma, norm.beta):
                weight.assign(keras.ops.convert_to_numpy(weight) * scale)
            for product in products:
                kernel = keras.ops.convert_to_numpy(product.kernel)
                # (D, ...): one row per channel of the input.
                rows = scale.reshape(-1, *[1] * (kernel.ndim - 1))
                product.kernel.assign(kernel / rows)
