"""What is known of a kind of keras-hub backbone."""

import dataclasses
from collections.abc import Callable

from keras_concatplexer.vit.heads import POOLING
from keras_concatplexer.vit.shared_layer import SharedLayer
from keras_concatplexer.vit.stages import PoolingParts


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


@dataclasses.dataclass(frozen=True)
class Family:
    """Where the parts of one kind of backbone are.

    Attributes:
        embedding: function, backbone -> layer of a new graph, images -> tokens.
        embedding_parts: function, such a layer -> its `EmbeddingParts`.
        blocks: function, backbone -> list of layers of a new graph, tokens -> tokens.
        block_parts: function, such a layer -> its `BlockParts`.
        norm: function, backbone -> the final norm.
        mlp_dim: str, name of the backbone's attribute.
        pooling: function, backbone -> keras-hub's attention pooling layer, or `None`.
        refusal: function, backbone -> why it cannot be wrapped, or `None`.
    """

    embedding: Callable
    embedding_parts: Callable
    blocks: Callable
    block_parts: Callable
    norm: Callable
    mlp_dim: str = "intermediate_dim"
    pooling: Callable = lambda backbone: None
    refusal: Callable = lambda backbone: None

    def pooling_layer(self, backbone):
        """Returns the layer of a new graph behind the norm, or `None`."""
        layer = self.pooling(backbone)
        # keras-hub's has the name of a classifier's head.
        return None if layer is None else SharedLayer(layer, POOLING)

    def pooling_parts(self, backbone):
        """Returns the `PoolingParts`, or `None`."""
        layer = self.pooling(backbone)
        if layer is None:
            return None
        return PoolingParts(
            probe=layer.probe,
            attention=layer.attention,
            norm=layer.layer_norm,
            mlp_in=layer.mlp.fc1,
            mlp_out=layer.mlp.fc2,
            activation=layer.mlp.fc1.activation,
        )
