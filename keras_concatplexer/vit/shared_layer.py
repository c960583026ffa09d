"""A layer that stands in several graphs, as a layer of one of them."""

import keras


class SharedLayer(keras.layers.Layer):
    """Calls a layer that other models use too, under its name.

    Keras tells a layer's `output` from the first graph that it stands in, which is
    the ViT's. This layer stands in one graph only, so that
    `model.get_layer("final_norm").output` is that of `model`.

    Args:
        layer: built layer of one input. It is used, not copied; the model that makes
            this layer rebuilds it, so it has no config of its own.
        name: str, by default that of `layer`.

    Input and output shape: those of `layer`.
    """

    def __init__(self, layer, name=None):
        super().__init__(dtype=layer.dtype_policy, name=name or layer.name)
        self.layer = layer

    def build(self, input_shape):
        self.built = True

    def call(self, inputs):
        return self.layer(inputs)

    def get_config(self):
        raise ValueError(
            "Layers of this model belong to a ViT, which a file of it would not hold. "
            "Save the model around the ViT; or, for features, one that is made without "
            "a classifier: ConcatPlexer(vit.with_classes(trained, None), ...)."
        )

    def compute_output_spec(self, inputs):
        return self.layer.compute_output_spec(inputs)
