"""What every model around a ViT has in common."""

from collections.abc import Mapping

import keras

from keras_concatplexer.classifier import ImageClassifier
from keras_concatplexer.vit.stages import read_stages


class WrappedViT(ImageClassifier):
    """A functional classifier whose embedding, blocks and head are a ViT's.

    The base of `MultiplexedViT` and `ElasticConcatPlexer`. A subclass builds the
    graph, gives it to this constructor, calls `note_weights` when all layers are
    there, and tells `by_num_mux` and `layer_stages`.

    Args:
        vit: the ViT classifier whose layers the graph uses.
        images: the graph's input, a `keras.Input`.
        outputs: the graph's output, logits or features.
        name: str.
    """

    def __init__(self, vit, images, outputs, name):
        super().__init__(images, outputs, name=name)
        # Kept out of Keras' tracking: its layers are this model's already.
        object.__setattr__(self, "vit", vit)

    @property
    def by_num_mux(self):
        """Read-only mapping, images per group -> the classifier that takes as many."""
        raise NotImplementedError

    @property
    def mixes_images(self):
        """Bool. Whether an answer depends on the other images of the batch."""
        return any(model.mixes_images for model in self.by_num_mux.values())

    @property
    def stages(self):
        """The wrapped ViT's `Stages`."""
        return read_stages(self.vit)

    def get_config(self):
        return {**super().get_config(), "vit": serialized_vit(self.vit)}

    @classmethod
    def read_config(cls, config, custom_objects=None):
        vits = {
            name: keras.saving.deserialize_keras_object(
                config[name], custom_objects=custom_objects
            )
            for name in ("vit", "backbone")
            if config.get(name) is not None
        }
        return {**config, **vits}


def serialized_vit(vit):
    """Returns a ViT as an entry of a config, not compiled; `None` for none."""
    if vit is None:
        return None
    serialized = keras.saving.serialize_keras_object(vit)
    serialized.pop("compile_config", None)
    return serialized


def by_num_mux(model: keras.Model) -> Mapping[int, keras.Model]:
    """Returns dict, N -> the classifier that takes N images per group.

    One entry per N of an elastic model, in its order; the model itself for any other
    multiplexed model; `{1: model}` for any other classifier, such as a plain ViT.
    """
    return dict(model.by_num_mux) if isinstance(model, WrappedViT) else {1: model}


def mixes_images(model: keras.Model) -> bool:
    """Whether an image's answer depends on the other images of its batch.

    Args:
        model: any classifier; one that is not multiplexed takes each image alone.
    """
    return isinstance(model, WrappedViT) and model.mixes_images


def single_num_mux(model):
    """Returns a classifier's images per group, 1 for a plain ViT.

    Raises:
        ValueError: if the model is elastic, so that it has several.
    """
    choices = tuple(by_num_mux(model))
    if len(choices) == 1:
        return choices[0]
    raise ValueError(
        "Expected a model with one number of images per group. Pass "
        f"`model.at(num_mux=n)` with n one of {choices}."
    )
