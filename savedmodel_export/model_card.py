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
            "keras_concatplexer": kcp.__version__,
            **{name: importlib.metadata.version(name) for name in PACKAGES},
        },
        # As `sha256sum` prints it for the one file that holds them.
        "weights_sha256": _sha256(folder, weights),
    }
    path = pathlib.Path(folder) / FILE_NAME
    path.write_text(json.dumps(card, indent=2, default=str) + "\n")


def read_model_card(version):
    """Returns the card of a version as a dict; empty if it has none."""
    path = pathlib.Path(version) / FILE_NAME
    return json.loads(path.read_text()) if path.is_file() else {}


def _description(model):
    import keras_concatplexer as kcp

    config = model.get_config() if isinstance(model, kcp.models.WrappedViT) else {}
    config.pop("vit", None)
    return {"type": type(model).__name__, **config}


def _gmacs(model):
    import keras_concatplexer as kcp

    try:
        return kcp.flops.formula(model).gmacs_per_image
    except ValueError:
        return None  # Not a ViT that the formula knows.


def _sha256(folder, pattern):
    digest = hashlib.sha256()
    for path in sorted(pathlib.Path(folder).glob(pattern)):
        with path.open("rb") as file:
            while chunk := file.read(2**20):
                digest.update(chunk)
    return digest.hexdigest()
