"""A trained classifier in a folder: its models, and what is needed to feed them.

`best.keras` and `last.keras` hold models; `bundle.json` holds the preprocessing,
the names of the classes and the dtype policy that the models were made under.
Training writes such a folder; export and evaluation read it. What they read may be
damaged, or come from somebody else: every file is checked, and an error names it.
"""

import collections
import dataclasses
import json
import os
import pathlib
import warnings
import zipfile

import keras

from keras_concatplexer.arguments import one_of
from keras_concatplexer.preprocessing import ImagePreprocessor

DESCRIPTION = "bundle.json"
# Which images an int8 export is calibrated on: some of those that were trained on.
CALIBRATION_FILE = "calibration.json"
CHECKPOINTS = ("best", "last")
MAX_JSON_BYTES = 2**26


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
    """Writes `bundle.json` with the present global dtype policy.

    Raises:
        ValueError: if the names cannot be told apart.
    """
    check_class_names(class_names, len(class_names))
    content = {
        "preprocessor": keras.saving.serialize_keras_object(preprocessor),
        "class_names": list(class_names),
        "dtype_policy": keras.config.dtype_policy().name,
    }
    path = pathlib.Path(folder) / DESCRIPTION
    path.write_text(json.dumps(content, indent=2) + "\n", "utf-8")


def read_description(folder: str | os.PathLike) -> Description:
    """Reads `bundle.json`.

    Raises:
        ValueError: if the folder or the file is not there, or the file is damaged.
    """
    path = pathlib.Path(folder) / DESCRIPTION
    if not path.is_file():
        raise ValueError(
            f"{folder} holds no trained model: {DESCRIPTION} is not there. Expected "
            "the workdir of a training run (python -m train --workdir=...)."
        )
    content = read_json(path)
    try:
        names = _expect(content["class_names"], list)
        policy = content["dtype_policy"]
        check_class_names(names, len(names))
        keras.dtype_policies.get(_expect(policy, str))
        preprocessor = _expect(content["preprocessor"], dict)
        # Nothing else is made from what the file says.
        registered = keras.saving.get_registered_name(ImagePreprocessor)
        if preprocessor.get("registered_name") != registered:
            raise ValueError(f"`preprocessor` is not a {registered}")
        return Description(
            keras.saving.deserialize_keras_object(preprocessor), tuple(names), policy
        )
    except Exception as error:
        raise _damaged(path, error) from error


def check_class_names(names, num_classes):
    """Checks the names of a model's classes.

    They stand one per line in `labels.txt` and are read by people, so each is one
    line, and no two differ in nothing but case and spaces.

    Args:
        names: sequence of str; empty or `None` for a model of features.
        num_classes: int; `None` for a model of features.

    Raises:
        ValueError: if the names are not `num_classes` such texts.
    """
    if num_classes is None:
        if names:
            raise ValueError(
                "A model of features has no classes: pass class_names=None. Received: "
                f"{len(names)} names"
            )
        return
    if isinstance(names, str):
        raise ValueError(
            "Expected a sequence of class names, such as ['cat', 'dog']. Received: one "
            f"text, {names!r}"
        )
    names = names or ()
    if len(names) != num_classes:
        raise ValueError(
            f"Expected one name for each of the model's {num_classes} classes. "
            f"Received: {len(names)} names"
        )
    alike = collections.defaultdict(list)
    for name in names:
        if not isinstance(name, str) or name.splitlines() != [name] or name.isspace():
            raise ValueError(
                f"The name of a class must be one line of text. Received: {name!r}"
            )
        try:
            name.encode()
        except UnicodeEncodeError:
            raise ValueError(
                f"The name of a class must be valid Unicode. Received: {name!r}"
            ) from None
        alike[" ".join(name.casefold().split())].append(name)
    for group in alike.values():
        if len(group) > 1:
            raise ValueError(
                "The names of classes must differ in more than case and spaces. "
                f"Received: {', '.join(map(repr, group))}"
            )


def read_json(path):
    """Returns the object in a JSON file as a dict.

    Raises:
        ValueError: if the file cannot be read or holds something else; it is named.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_JSON_BYTES + 1)
        if len(content) > MAX_JSON_BYTES:
            raise ValueError(f"larger than {MAX_JSON_BYTES} bytes")
        return _expect(json.loads(content), dict)
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(path, error) from error


def load_model(folder: str | os.PathLike, checkpoint: str = "best") -> keras.Model:
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
    try:
        _check_archive(path)
        with warnings.catch_warnings():
            # keras-cv's block has no `build`; the graph around it builds it.
            warnings.filterwarnings(
                "ignore", message=r"`build\(\)` was called on layer"
            )
            return _expect(keras.saving.load_model(path, compile=False), keras.Model)
    except Exception as error:  # Keras fails in many ways on a damaged file.
        raise _damaged(path, error) from error


def _check_archive(path):
    """Refuses a file that would unpack to much more than it is."""
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    # Keras packs nothing: the weights are as large as they were.
    if unpacked > MAX_JSON_BYTES + 2 * path.stat().st_size:
        raise ValueError(f"it would unpack to {unpacked} bytes")


def _expect(value, kind):
    if not isinstance(value, kind):
        raise ValueError(f"expected a {kind.__name__}, found {type(value).__name__}")
    return value


def _damaged(path, error):
    lines = str(error).strip().splitlines() or [""]
    return ValueError(
        f"{path} is damaged or not of this program: {type(error).__name__}: "
        f"{lines[0][:200]}"
    )
