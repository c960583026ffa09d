"""The models of training runs and images to try them on."""

import numpy as np
from absl import flags

from benchmarks import command

BATCH_SIZE = 64


def define_flags():
    """Defines the flags that `load_from_flags` reads."""
    command.define_path("workdir", None, "Folder of a training run.", required=True)
    flags.DEFINE_string("dataset", "digits", "TFDS dataset of the run, or folder:PATH.")
    command.define_path("data_dir", None, "Where TFDS keeps it.")
    flags.DEFINE_string("split", "test", "TFDS split.")


def load_from_flags(values, limit=None):
    """Returns what `load_arrays` returns, for the flags that are given."""
    return load_arrays(
        values.workdir, values.dataset, values.data_dir, values.split, limit
    )


def load_arrays(workdir, dataset, data_dir=None, split="test", limit=None):
    """Loads a run's best model, and all images of a split or its first ones.

    Args:
        workdir: path of the training run.
        dataset: str, `digits`, the name of a TFDS dataset or `folder:PATH`.
        data_dir: where TFDS keeps it; `None`: its own default.
        split: TFDS split.
        limit: int or `None`. Number of images.

    Returns:
        The model, preprocessed images and labels as arrays.

    Raises:
        ValueError: if there is no model or no such data, or the data has other
            classes than the run's.
    """
    from keras_concatplexer import bundle
    from train import Data, open_source

    model, description = load_model(workdir), bundle.read_description(workdir)
    source = open_source(dataset, data_dir)
    class_names = tuple(source.info.features["label"].names)
    if class_names != description.class_names:
        raise ValueError(
            f"The run in {workdir} was trained on other classes than those of "
            f"--dataset={dataset}. Give the run's dataset."
        )
    data = Data(source, description.preprocessor, class_names, {"part": split})
    batches = data.batches("part", BATCH_SIZE)
    if limit is not None:
        batches = batches.unbatch().take(limit).batch(BATCH_SIZE)
    images, labels = zip(*batches.as_numpy_iterator(), strict=True)
    return model, np.concatenate(images), np.concatenate(labels)


def load_model(workdir):
    """Loads a run's best model, and sets the global dtype policy that it needs.

    Raises:
        ValueError: if there is none.
    """
    import keras

    from keras_concatplexer import bundle

    description = bundle.read_description(workdir)
    keras.config.set_dtype_policy(description.dtype_policy)
    return bundle.load_model(workdir)


def num_images(dataset, data_dir, split):
    """Returns the number of images of a TFDS split.

    Raises:
        ValueError: if there is no such data.
    """
    from train import open_source

    return open_source(dataset, data_dir).info.splits[split].num_examples
