"""What `--init_from` brings: trained weights, and what they were trained for."""

import dataclasses
import os
import pathlib

import keras

import keras_concatplexer as kcp
from keras_concatplexer.preprocessing import ImagePreprocessor

HUB_PREFIX = "hub:"
# Stages of a multiplexed model whose layers are not the ViT's.
OWN_STAGES = ("multiplexer", "demultiplexer")


@dataclasses.dataclass(frozen=True)
class Initial:
    """A trained model to start from.

    Attributes:
        name: str, where it comes from: the value of `--init_from`.
        model: the ViT, or a multiplexed model around it.
        preprocessor: `ImagePreprocessor` of its images.
        class_names: tuple of str, or `None` if they are not known.
    """

    name: str
    model: keras.Model
    preprocessor: ImagePreprocessor
    class_names: tuple | None

    @property
    def vit(self):
        """The ViT, without what multiplexes it."""
        model = self.model
        return model.vit if isinstance(model, kcp.models.WrappedViT) else model

    @property
    def backbone(self):
        """The second ViT of a model that has one, or `None`."""
        model = self.model
        return model.backbone if isinstance(model, kcp.models.WrappedViT) else None

    def preprocessor_for(self, config, num_channels):
        """Returns the `ImagePreprocessor` of a run: this one, at `--image_size`.

        Args:
            config: `Config` of the run.
            num_channels: int, of the data's images.

        Raises:
            ValueError: if the ViT cannot take as many.
        """
        height, width, channels = self.preprocessor.image_shape
        if channels == 1:
            # Its patch projection can be made one for colors.
            channels = num_channels
        elif num_channels not in (1, channels):
            raise ValueError(
                f"The ViT in {self.name} takes images of {channels} channels; the data "
                f"has {num_channels}."
            )
        if config.image_size:
            height = width = config.image_size
        settings = self.preprocessor.get_config()
        if settings["resizing"] is not None:
            settings["resizing"]["config"] |= {"height": height, "width": width}
        settings |= {"name": None, "image_shape": (height, width, channels)}
        return ImagePreprocessor(**settings)

    def vit_for(self, image_shape, class_names):
        """Returns the ViT for a run's images and answers, all of it trainable.

        What differs from the source is printed.

        Args:
            image_shape: `(height, width, channels)`.
            class_names: tuple of str; none for a model of features.
        """
        return self._fitted(self.vit, image_shape, class_names)

    def backbone_for(self, image_shape, class_names):
        """Returns the second ViT, as `vit_for` does the first."""
        return self._fitted(self.backbone, image_shape, class_names)

    def _fitted(self, vit, image_shape, class_names):
        given = kcp.vit.read_stages(vit)
        num_classes = len(class_names) or None
        same_head = given.num_classes == num_classes and (
            self.class_names in (None, tuple(class_names))
        )
        if given.image_shape != tuple(image_shape):
            self.say(
                f"images of {_by(image_shape)} instead of {_by(given.image_shape)}: "
                "positions, or the patch projection, are converted."
            )
            vit = kcp.vit.at_resolution(vit, image_shape)
        if not same_head:
            self.say(
                f"{_answers(num_classes, class_names)} instead of "
                f"{_answers(given.num_classes, self.class_names)}: a new head."
            )
            vit = kcp.vit.with_classes(vit, num_classes)
        # A file remembers what was frozen when it was saved, for single weights too.
        vit.trainable = True
        for weight in vit.weights:
            weight.trainable = keras.backend.is_float_dtype(weight.dtype)
        return vit

    def teacher(self, image_shape):
        """Returns a copy of the ViT that gives features of a run's images."""
        copy = kcp.vit.with_classes(self.vit, None)
        if copy.input_shape[1:] != tuple(image_shape):
            copy = kcp.vit.at_resolution(copy, image_shape)
        return copy

    def hand_over_multiplexers(self, model):
        """Gives a model the trained weights of the source's multiplexers.

        Those of each N that both have, where they fit; all others are named.

        Args:
            model: the model of a run, around the ViT of `vit_for`.
        """
        sources = kcp.models.by_num_mux(self.model)
        for num_mux, single in kcp.models.by_num_mux(model).items():
            ours = _own_weights(single)
            theirs = _own_weights(sources.get(num_mux))
            kept = [
                path
                for path, weight in ours.items()
                if path in theirs and theirs[path].shape == weight.shape
            ]
            for path in kept:
                ours[path].assign(theirs[path])
            for verb, paths in (
                ("kept", kept),
                ("new", ours.keys() - kept if theirs else ()),
                ("dropped, as it has no place here", theirs.keys() - kept),
            ):
                if paths:
                    self.say(f"N = {num_mux}, {', '.join(sorted(paths))}: {verb}.")
        for num_mux in sources.keys() - kcp.models.by_num_mux(model).keys():
            if _own_weights(sources[num_mux]):
                self.say(f"N = {num_mux}: its multiplexer is dropped.")

    def say(self, sentence):
        """Prints what a run takes from here."""
        print(f"From {self.name}: {sentence}")


def load_initial(name):
    """Loads what `--init_from` names.

    Args:
        name: str, a workdir, a .keras file or `hub:PRESET`.

    Raises:
        ValueError: if it cannot be loaded.
    """
    if name.startswith(HUB_PREFIX):
        initial = _from_hub(name)
    elif pathlib.Path(name).suffix == ".keras":
        initial = _from_file(name)
    else:
        description = kcp.bundle.read_description(name)
        initial = Initial(
            name,
            kcp.bundle.load_model(name),
            description.preprocessor,
            description.class_names,
        )
    stages = kcp.vit.read_stages(initial.vit)
    initial.say(
        f"a ViT of {len(stages.blocks)} blocks for images of "
        f"{_by(stages.image_shape)} and {stages.num_classes or 'no'} classes."
    )
    return initial


def _from_file(name):
    try:
        model = keras.saving.load_model(name, compile=False)
    except Exception as error:  # Keras fails in many ways on a damaged file.
        raise ValueError(f"--init_from={name} cannot be loaded: {error}") from error
    image_shape = tuple(model.input_shape[1:])
    # What it was trained with is not in the file.
    return Initial(name, model, ImagePreprocessor(image_shape), None)


def _from_hub(name):
    preset = os.path.expanduser(name.removeprefix(HUB_PREFIX))
    try:
        # The head is replaced by one for the data's classes.
        vit = kcp.vit.keras_hub_vit(preset, num_classes=1)
        image_shape = kcp.vit.read_stages(vit).image_shape
        preprocessor = kcp.vit.keras_hub_preprocessor(preset, image_shape)
    except (ImportError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        if reason.endswith(":"):
            # The sentence is the head of a list, which is not shown.
            reason = reason.rpartition(". ")[0] + "."
        raise ValueError(f"--init_from={name} cannot be loaded: {reason}") from error
    # Classes that no data has: its head is always a new one.
    return Initial(name, vit, preprocessor, ())


def _own_weights(model):
    """dict, path -> weight of what in a classifier is not its ViT's."""
    if model is None or not isinstance(model, kcp.models.WrappedViT):
        return {}
    names = [
        name
        for name, stage in model.layer_stages.items()
        if stage in OWN_STAGES or name == "own_norm"
    ]
    return {
        f"{name}/{weight.path.split(f'{name}/', 1)[-1]}": weight
        for name in names
        for weight in model.get_layer(name).weights
        # The state of random layers is a run's own.
        if keras.backend.is_float_dtype(weight.dtype)
    }


def _by(image_shape):
    return " x ".join(map(str, image_shape))


def _answers(num_classes, class_names):
    if num_classes is None:
        return "features"
    return f"{num_classes} classes ({_shortened(class_names)})"


def _shortened(class_names, length=3):
    if not class_names:
        return "of unknown names"
    names = ", ".join(class_names[:length])
    return names if len(class_names) <= length else f"{names}, ..."
