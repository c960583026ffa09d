"""Every way of multiplexing on the embedded digits, by one recipe.

`python -m benchmarks.accuracy.multiplexers` trains the ViT, ConcatPlexer and pairs of
transform and demultiplexer of the Image Multiplexer, each from fresh weights, with
N = 2. The Image Multiplexer is trained without and with a retrieval warm-up of a third
of the epochs, which then leaves two thirds for the task. A row is written as soon as it
is there; rows that are there are not trained again, and a training that was interrupted
goes on.
"""

import functools

from absl import flags

from benchmarks import command, folders, trainings
from benchmarks.markdown import number, percent, table
from benchmarks.results_file import ResultsFile

NUM_MUX = 2
RECIPE = {"dataset": "digits", "size": "vit_nano4", "augmentation": "shift"}
LEARNING_RATE = 1e-3
# Transform, demultiplexer, blocks that see each image alone.
PAIRS = (
    ("gaussian_hadamard", "index", 0),
    ("gaussian_hadamard", "mlp", 0),
    ("gaussian_hadamard", "mlp", 3),
    ("random_orthogonal", "key", 3),
    ("contextual", "key", 0),
    ("holographic", "unbind", 3),
)


def define_flags():
    """Defines the command's flags."""
    command.define_path("out", "build/multiplexers", "Folder of rows and trainings.")
    flags.DEFINE_integer("epochs", 30, "Epochs of every row.", 3)
    flags.DEFINE_integer("seed", 0, "Seed of every row.", 0)


def rows():
    """Returns dict, name of a row -> settings of its model, and warm-up or not."""
    found = {"vit": ({"model": "vit"}, False)}
    for scope in ("group", "image"):
        settings = {
            "model": "concatplexer",
            "num_mux": NUM_MUX,
            "attention_scope": scope,
        }
        found[f"concatplexer, {scope}"] = settings, False
    for transform, demultiplexer, depth in PAIRS:
        name = f"{transform} + {demultiplexer}, depth {depth}"
        settings = {
            "model": "image_multiplexer",
            "num_mux": NUM_MUX,
            "patchifier_depth": depth,
            "transform": transform,
            "demultiplexer": demultiplexer,
        }
        found[name] = settings, False
        found[f"{name}, warm-up"] = settings, True
    return found


def warm_up(settings, epochs, path):
    """Trains an Image Multiplexer to tell its images apart, and saves it.

    Args:
        settings: dict, those of the training that follows.
        epochs: int.
        path: of the `.keras` file.
    """
    import keras

    import keras_concatplexer as kcp
    from train import Config, load_data

    keras.utils.set_random_seed(settings["seed"])
    config = Config(**settings)
    data = load_data(config)
    image_shape = data.preprocessor.image_shape
    model = kcp.ImageMultiplexerViT(
        kcp.vit.keras_cv_vit(config.size, image_shape, len(data.class_names)),
        config.num_mux,
        config.patchifier_depth,
        config.transform,
        config.demultiplexer,
    )
    trained = kcp.RetrievalWarmup(model)
    trained.compile(keras.optimizers.AdamW(LEARNING_RATE))
    batches = data.training_batches(config.batch_size, config.seed, epochs=epochs)
    trained.fit(batches, verbose=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    model.save(path)


def run_row(folder, settings, warmup):
    """Trains one row and returns what is kept of it, a dict."""
    if warmup:
        epochs, start = settings["epochs"] // 3, folder.with_suffix(".keras")
        if not start.exists():
            warm_up(settings, epochs, start)
        settings = settings | {"epochs": settings["epochs"] - epochs}
        settings |= {"init_from": str(start)}
        del settings["size"]
    results = trainings.train(folder, settings)
    kept = ("test_accuracy", "gmacs_per_image", "training_seconds")
    return {name: results[name] for name in kept}


def main(values):
    """Trains the rows that are missing and prints all as a Markdown table."""
    out = folders.own(values.out)
    results = ResultsFile(out / "multiplexers.jsonl")
    shared = {**RECIPE, "epochs": values.epochs, "seed": values.seed}
    shared["data_dir"] = str(out / "data")
    lines = []
    for index, (name, (settings, warmup)) in enumerate(rows().items()):
        key = {"name": name, "epochs": values.epochs, "seed": values.seed}
        folder = out / f"e{values.epochs}_s{values.seed}" / str(index)
        compute = functools.partial(run_row, folder, shared | settings, warmup)
        row = results.get(key, compute)
        lines.append(
            [
                name,
                percent(row["test_accuracy"]),
                number(row["gmacs_per_image"], 4),
                number(row["training_seconds"], 0),
            ]
        )
    columns = ["model, N = 2", "test accuracy, %", "GMACs per image", "seconds"]
    print(table(columns, lines))


if __name__ == "__main__":
    command.run(main, define_flags)
