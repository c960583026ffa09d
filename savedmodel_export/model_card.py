"""What a version holds and where it comes from, beside it as JSON.

Keras is imported where a card is written: a card is read without it.
"""

import hashlib
import importlib.metadata
import json
import pathlib

import numpy as np

FILE_NAME = "model_card.json"
PACKAGES = ("tensorflow", "keras", "keras-cv")
# Among the card's `versions`; it tells our versions from other folders.
MARK = "keras_concatplexer"
MAX_CARD_LENGTH = 2**24


def write_model_card(
    folder, model, num_mux=None, weights="variables/variables.data-*", **entries
):
    """Writes `model_card.json` into a version.

    Args:
        folder: path of the SavedModel.
        model: the Keras classifier in it.
        num_mux: int or `None`. The N that an elastic model answers with where none
            is asked for; by default its first.
        weights: str. Pattern of the files that hold the weights.
        **entries: what the model does not tell; JSON values.
    """
    import keras_concatplexer as kcp

    models = kcp.models.by_num_mux(model)
    gmacs = {n: _gmacs(single) for n, single in models.items()}
    num_mux = next(iter(models)) if num_mux is None else num_mux
    card = {
        "model": _description(model),
        "parameters": int(sum(np.prod(v.shape) for v in model.variables)),
        "num_mux": num_mux,
        "gmacs_per_image": gmacs[num_mux],
        "gmacs_per_image_at": gmacs,
        **entries,
        "versions": {
            MARK: kcp.__version__,
            **{name: importlib.metadata.version(name) for name in PACKAGES},
        },
        # As `sha256sum` prints it for the one file that holds them.
        "weights_sha256": _sha256(folder, weights),
    }
    path = pathlib.Path(folder) / FILE_NAME
    path.write_text(json.dumps(card, indent=2, default=str) + "\n", "utf-8")


def sizes(model):
    """Returns the widths of a model's answers, as entries of a card."""
    from keras_concatplexer.classifier import ImageClassifier

    entries = {"num_classes": num_classes_of(model)}
    if isinstance(model, ImageClassifier):
        entries["num_features"] = model.features.output_shape[-1]
    return {name: size for name, size in entries.items() if size is not None}


def num_classes_of(model):
    """Returns int, or `None` for a model of features."""
    from keras_concatplexer.classifier import is_classifier

    return model.output_shape[-1] if is_classifier(model) else None


def write_labels(path, class_names):
    """Writes the names of the classes, one per line."""
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{name}\n" for name in class_names), "utf-8")


def read_model_card(version):
    """Returns the card of a version as a dict; empty if the version is not ours.

    Raises:
        ValueError: if the card is damaged.
    """
    path = pathlib.Path(version) / FILE_NAME
    try:
        with open(path, encoding="utf-8") as file:
            card = json.loads(file.read(MAX_CARD_LENGTH))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read as a model card: {error}") from error
    by = card.get("versions") if isinstance(card, dict) else None
    return card if isinstance(by, dict) and MARK in by else {}


def training_details(workdir, checkpoint):
    """Returns what a run's files say of its training, as entries of a card.

    Raises:
        ValueError: if one of the files is damaged.
    """
    from keras_concatplexer.bundle import read_json

    config, results = (
        read_json(path) if (path := pathlib.Path(workdir, name)).is_file() else {}
        for name in ("config.json", "results.json")
    )
    scores = results.get(checkpoint)
    return {
        "dataset": config.get("dataset"),
        "test_accuracy": scores.get("accuracy") if isinstance(scores, dict) else None,
        "checkpoint": checkpoint,
        "training_config": config,
    }


def _description(model):
    import keras_concatplexer as kcp

    config = model.get_config() if isinstance(model, kcp.models.WrappedViT) else {}
    config.pop("vit", None)
    return {"type": type(model).__name__, **config}


def _gmacs(model):
    import keras_concatplexer as kcp

    try:
        return kcp.flops.count(model).gmacs_per_image
    except ValueError:
        return None  # It cannot be counted.


def _sha256(folder, pattern):
    digest = hashlib.sha256()
    for path in sorted(pathlib.Path(folder).glob(pattern)):
        with path.open("rb") as file:
            while chunk := file.read(2**20):
                digest.update(chunk)
    return digest.hexdigest()
