"""What the neighbours of an image do to its answer, and what averaging over them buys.

`python -m benchmarks.accuracy.interference --workdir=RUN --dataset=digits` takes the
best model of a training run and images of a test split, prints a table, and writes
`interference.json` and `interference.png` to `--out`.
"""

import json

import numpy as np
from absl import flags

from benchmarks import command, folders, trained

BATCH_SIZE = 64
# Of the ensembles whose accuracy stands beside that of one pass.
NUM_PERMUTATIONS = (1, 4)


def define_flags():
    """Defines the flags of this command."""
    trained.define_flags()
    flags.DEFINE_integer("num_images", 512, "The split's first ones.", 2)
    flags.DEFINE_integer("num_draws", 16, "Random orders.", 2)
    flags.DEFINE_integer("seed", 0, "Of the orders.", 0)
    flags.DEFINE_integer("num_mux", None, "N at which an elastic model is run.")
    command.define_path("out", "build/interference", "Folder of the results.")


def at_num_mux(model, num_mux):
    """Returns an elastic model at one N, any other model as it is.

    Args:
        model: trained model.
        num_mux: int, or `None` for a model that is not elastic.

    Raises:
        ValueError: if the model needs another `num_mux`.
    """
    from keras_concatplexer.models import by_num_mux

    models = by_num_mux(model)
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
    from keras_concatplexer.models.ensemble import predict_ensemble
    from keras_concatplexer.models.wrapped_vit import single_num_mux

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


def main(values):
    """Measures a training run's best model, writes the files, prints the table."""
    from keras_concatplexer.analysis import interference

    folder = folders.own(values.out)
    model, images, labels = trained.load_from_flags(values, values.num_images)
    model = at_num_mux(model, values.num_mux)
    result = interference(
        model, images, labels, values.num_draws, values.seed, BATCH_SIZE
    )
    rows = ensembles(model, images, labels, values.seed)
    content = {
        "dataset": values.dataset,
        "split": values.split,
        **result.to_dict(),
        "ensembles": rows,
    }
    (folder / "interference.json").write_text(json.dumps(content, indent=2) + "\n")
    draw(result, folder / "interference.png")
    print(table(result, rows))


if __name__ == "__main__":
    command.run(main, define_flags)
