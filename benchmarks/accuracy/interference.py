"""What the neighbours of an image do to its answer, and what averaging over them buys.

`python -m benchmarks.accuracy.interference --workdir=RUN --dataset=digits` takes the
best model of a training run and images of a test split, prints a table, and writes
`interference.json` and `interference.png` to `--out`.
"""

import json
import pathlib
import sys

import numpy as np
from absl import app, flags, logging

import keras_concatplexer as kcp
from benchmarks import trained
from keras_concatplexer.analysis import interference
from keras_concatplexer.models.ensemble import predict_ensemble
from keras_concatplexer.models.wrapped_vit import single_num_mux

BATCH_SIZE = 64
# Of the ensembles whose accuracy stands beside that of one pass.
NUM_PERMUTATIONS = (1, 4)


def define_flags():
    """Defines the flags of this command."""
    trained.define_flags()
    flags.adopt_module_key_flags(trained)
    flags.DEFINE_integer("num_images", 512, "The split's first ones.", lower_bound=2)
    flags.DEFINE_integer("num_draws", 16, "Random orders.", lower_bound=2)
    flags.DEFINE_integer("seed", 0, "Of the orders.", lower_bound=0)
    flags.DEFINE_integer("num_mux", None, "N at which an elastic model is run.")
    flags.DEFINE_string("out", "build/interference", "Folder of the results.")


def at_num_mux(model, num_mux):
    """Returns an elastic model at one N, any other model as it is.

    Args:
        model: trained model.
        num_mux: int, or `None` for a model that is not elastic.

    Raises:
        ValueError: if the model needs another `num_mux`.
    """
    models = kcp.models.by_num_mux(model)
    if num_mux is None and len(models) == 1:
        return model
    if num_mux not in models:
        raise ValueError(
            f"--num_mux must be one of {tuple(models)} for this model. "
            f"Received: {num_mux}"
        )
    return models[num_mux]


def ensembles(model, images, labels, seed=0):
    """What averaging over slots and neighbours gives.

    Returns:
        list of dict with `num_permutations`, `accuracy` and `cost`, in passes over
        the images.
    """
    num_mux, rows = single_num_mux(model), []
    for num_permutations in NUM_PERMUTATIONS:
        logits = predict_ensemble(
            model, num_mux, images, num_permutations, BATCH_SIZE, seed
        )
        rows.append(
            {
                "num_permutations": num_permutations,
                "accuracy": float((logits.argmax(-1) == labels).mean()),
                "cost": num_mux * num_permutations,
            }
        )
    return rows


def table(result, rows):
    """Returns the figures and the ensembles as one Markdown table."""
    lines = [
        f"| accuracy of the ensemble, {row['num_permutations']} x N passes "
        f"({row['cost']} x the cost) | {100 * row['accuracy']:.2f} % |"
        for row in rows
    ]
    return "\n".join([result.table(), *lines])


def draw(result, path):
    """Draws the images' spread, and the accuracy per slot with its interval.

    Args:
        result: `Interference`.
        path: of the PNG.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3), dpi=80, layout="constrained")
    left, right = figure.subplots(1, 2)
    left.hist(result.image_spread, bins=np.linspace(0, 0.5, 26), log=True)
    left.set(xlabel="spread of the true class's probability", ylabel="images")
    accuracies = [slot.accuracy for slot in result.slot_accuracy]
    errors = [
        [slot.accuracy - slot.low for slot in result.slot_accuracy],
        [slot.high - slot.accuracy for slot in result.slot_accuracy],
    ]
    slots = range(result.num_mux)
    right.errorbar(slots, accuracies, errors, fmt="o", capsize=4)
    right.axhline(result.accuracy, linewidth=1, color="gray")
    right.set(xlabel="slot", ylabel="accuracy", xticks=slots)
    figure.savefig(path)


def report(model, dataset, values):
    """Measures, writes the files, and returns the table.

    Args:
        model: trained model.
        dataset: iterable of (images, labels).
        values: the flags.
    """
    model = at_num_mux(model, values.num_mux)
    batches = [(np.asarray(images), np.asarray(labels)) for images, labels in dataset]
    images, labels = (
        np.concatenate(arrays)[: values.num_images]
        for arrays in zip(*batches, strict=True)
    )
    result = interference(
        model, images, labels, values.num_draws, values.seed, BATCH_SIZE
    )
    rows = ensembles(model, images, labels, values.seed)
    folder = pathlib.Path(values.out)
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "dataset": values.dataset,
        "split": values.split,
        **result.to_dict(),
        "ensembles": rows,
    }
    (folder / "interference.json").write_text(json.dumps(content, indent=2) + "\n")
    draw(result, folder / "interference.png")
    return table(result, rows)


def main(argv):
    """Prints the table of a training run's best model."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)
    values = flags.FLAGS
    try:
        model, dataset = trained.load_from_flags(values, BATCH_SIZE)
        # No more batches than hold the images that are asked for.
        dataset = dataset.take(-(-values.num_images // BATCH_SIZE))
        print(report(model, dataset, values))
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    define_flags()
    app.run(main)
