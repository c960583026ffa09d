"""The best model of a training run and images to try it on."""

import keras
from absl import flags

from keras_concatplexer import bundle
from train.data import Data, open_source


def define_flags():
    """Defines the flags that `load_from_flags` reads."""
    flags.DEFINE_string("workdir", None, "Folder of a training run.", required=True)
    flags.DEFINE_string("dataset", "digits", "TFDS dataset of the run, or folder:PATH.")
    flags.DEFINE_string("data_dir", None, "Where TFDS keeps it.")
    flags.DEFINE_string("split", "test", "TFDS split.")


def load_from_flags(values, batch_size):
    """As `load`, of the parsed flags."""
    return load(
        values.workdir, values.dataset, values.data_dir, values.split, batch_size
    )


def load(workdir, dataset, data_dir, split, batch_size):
    """Loads a run's best model, and sets the global dtype policy that it needs.

    Args:
        workdir: path of the training run.
        dataset: str, `digits`, the name of a TFDS dataset or `folder:PATH`.
        data_dir: where TFDS keeps it; `None`: its own default.
        split: TFDS split.
        batch_size: int.

    Returns:
        The model and a `tf.data.Dataset` of (preprocessed images, labels).

    Raises:
        ValueError: if there is no model or no such data, or the data has other
            classes than the run's.
    """
    description = bundle.read_description(workdir)
    keras.config.set_dtype_policy(description.dtype_policy)
    source = open_source(dataset, data_dir)
    class_names = tuple(source.info.features["label"].names)
    if class_names != description.class_names:
        raise ValueError(
            f"The run in {workdir} was trained on other classes than those of "
            f"--dataset={dataset}. Give the run's dataset."
        )
    data = Data(source, description.preprocessor, class_names, {"test": split})
    batches = data.batches("test", batch_size)
    return bundle.load_model(workdir), batches
