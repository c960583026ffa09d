"""A trained classifier in a folder: its models, and what is needed to feed them.

`best.keras` and `last.keras` hold models; `bundle.json` holds the preprocessing,
the names of the classes and the dtype policy that the models were made under.
Training writes such a folder; export and evaluation read it.
"""

import dataclasses
import json
import pathlib
import warnings

import keras

from keras_concatplexer.arguments import one_of
from keras_concatplexer.preprocessing import ImagePreprocessor

DESCRIPTION = "bundle.json"
CHECKPOINTS = ("best", "last")


@dataclasses.dataclass(frozen=True)
class Description:
    """What a model file does not tell.

    Attributes:
        preprocessor: `ImagePreprocessor` between raw images and the model.
        class_names: tuple of str, one per class, in the order of the logits.
        dtype_policy: str, name of the global policy the models were made under.
    """

    preprocessor: ImagePreprocessor
    class_names: tuple
    dtype_policy: str


def write_description(folder, preprocessor, class_names):
    """Writes `bundle.json` with the present global dtype policy."""
    content = {
        "preprocessor": keras.saving.serialize_keras_object(preprocessor),
        "class_names": list(class_names),
        "dtype_policy": keras.config.dtype_policy().name,
    }
    path = pathlib.Path(folder) / DESCRIPTION
    path.write_text(json.dumps(content, indent=2) + "\n")


def read_description(folder):
    """Reads `bundle.json`.

    Raises:
        ValueError: if the folder or the file is not there.
    """
    path = pathlib.Path(folder) / DESCRIPTION
    if not path.is_file():
        raise ValueError(
            f"{folder} holds no trained model: {DESCRIPTION} is not there. Expected "
            "the workdir of a training run (python -m train --workdir=...)."
        )
    content = json.loads(path.read_text())
    return Description(
        keras.saving.deserialize_keras_object(content["preprocessor"]),
        tuple(content["class_names"]),
        content["dtype_policy"],
    )


def load_model(folder, checkpoint="best"):
    """Loads a model of a training run, uncompiled.

    Args:
        folder: path of the folder.
        checkpoint: `"best"` (by validation loss) or `"last"`.

    Raises:
        ValueError: if there is no such model, or the global dtype policy is not
            the one the model was made under.
    """
    one_of("checkpoint", checkpoint, CHECKPOINTS)
    description = read_description(folder)
    policy = keras.config.dtype_policy().name
    if policy != description.dtype_policy:
        raise ValueError(
            f"The model in {folder} was made under the dtype policy "
            f"{description.dtype_policy!r}, the global policy is {policy!r}. Call "
            f"keras.config.set_dtype_policy({description.dtype_policy!r}) first."
        )
    path = pathlib.Path(folder) / f"{checkpoint}.keras"
    if not path.is_file():
        raise ValueError(
            f"{folder} holds no checkpoint {path.name}: its training has not "
            "finished an epoch."
        )
    with warnings.catch_warnings():
        # keras-cv's block has no `build`; the graph around it builds it.
        warnings.filterwarnings("ignore", message=r"`build\(\)` was called on layer")
        return keras.saving.load_model(path, compile=False)
