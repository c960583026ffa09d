"""The data of a run: made for its model, and the same each time the run goes on."""

import dataclasses
import json
import sys

from keras_concatplexer.bundle import CALIBRATION_FILE

from ..workdir import damaged, read_json, write_text
from .data import load_data

DATA_FILE = "data.json"


def load_run_data(config, preprocessor_for=None):
    """Loads the data of a `Config`, and tells what it is.

    Args:
        config: `Config`.
        preprocessor_for: function, the data's number of channels -> the
            `ImagePreprocessor` of a trained model; `None`: the data's own.

    Raises:
        ValueError: as `load_data` and `preprocessor_for`.
    """
    data = load_data(config)
    if preprocessor_for is not None:
        num_channels = data.preprocessor.image_shape[-1]
        data = dataclasses.replace(data, preprocessor=preprocessor_for(num_channels))
    print(*data.description(), sep="\n")
    for first, second, num_images in data.overlaps():
        print(
            f"warning: {num_images} images of the {first} split are in the {second} "
            "split, too.",
            file=sys.stderr,
        )
    return data


def remember_data(workdir, data):
    """Writes into a workdir what its data is, and what int8 may be calibrated on."""
    for name, facts in (
        (DATA_FILE, _facts(data)),
        (CALIBRATION_FILE, data.calibration()),
    ):
        write_text(workdir / name, json.dumps(facts, indent=2) + "\n")


def check_same_data(workdir, data):
    """Checks that the data of a run in `workdir`, if there is one, is still the same.

    Raises:
        ValueError: naming what has changed.
    """
    path, facts = workdir / DATA_FILE, _facts(data)
    saved = read_json(path)
    if saved in (None, facts):
        return
    if not isinstance(saved, dict) or [type(value) for value in facts.values()] != [
        type(saved.get(name)) for name in facts
    ]:
        raise damaged(path, f"expected {', '.join(facts)}")
    changes = [_change(name, saved[name], facts[name]) for name in facts]
    raise ValueError(
        f"The data of the run in {workdir} has changed: "
        f"{'; '.join(change for change in changes if change)}. Bring the old data "
        "back to go on, or choose another --workdir."
    )


def _facts(data):
    return {
        "classes": list(data.class_names),
        **{
            part: {"images": data.num_images(part), "files": data.fingerprint(part)}
            for part in ("train", "validation", "test")
        },
    }


def _change(name, old, new):
    if old == new:
        return ""
    if name == "classes" and set(old) != set(new):
        lost, gained = sorted({*old} - {*new}), sorted({*new} - {*old})
        return f"classes lost {lost}, gained {gained}"
    if name == "classes":
        return f"classes were {old}, are {new}"
    if old.get("images") != new["images"]:
        return f"{name} had {old.get('images')} images, has {new['images']}"
    return f"{name} has other files"
