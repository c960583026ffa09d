"""What an encoder keeps when it is multiplexed and adapted without labels.

`python -m benchmarks.accuracy.features --workdir=RUN --dataset=digits` takes the ViT of
a training run as the teacher, wraps it as ConcatPlexer with N = 2 and 4, cuts it down
to fewer blocks, and lets each learn the teacher's features (`--objective=features`).
For each it prints a row: the accuracy of a classifier by nearest neighbours on its
features, and their cosine to the teacher's, before and after. A row is written as soon
as it is there, and not computed again.
"""

import dataclasses
import functools
import hashlib
import json

import numpy as np
from absl import flags

from benchmarks import command, folders, trained, trainings
from benchmarks.markdown import number, percent, table
from benchmarks.results_file import ResultsFile

NEIGHBOURS = 20
COLUMNS = (
    "model",
    "GMACs per image",
    "k-NN before, %",
    "k-NN after, %",
    "cosine before",
    "cosine after",
)


def define_flags():
    """Defines the command's flags."""
    trained.define_flags()
    command.define_path("out", "build/features", "Folder of rows and trainings.")
    flags.DEFINE_integer("epochs", 3, "Of every row.", 1)
    flags.DEFINE_float("learning_rate", 3e-4, "Of every row.")
    flags.DEFINE_integer("num_blocks", 4, "Of the shorter ViT.", 1)
    flags.DEFINE_integer("num_support", 10_000, "Training images of the k-NN.", 1)
    flags.DEFINE_string("train_split", "train", "TFDS split to learn from.")


@dataclasses.dataclass(frozen=True)
class Judge:
    """The images, and what the teacher says of those that are asked about.

    Attributes:
        support, queries: float arrays, preprocessed images.
        support_labels, labels: int arrays.
        taught: float array, the teacher's features of `queries`.
    """

    support: np.ndarray
    support_labels: np.ndarray
    queries: np.ndarray
    labels: np.ndarray
    taught: np.ndarray

    def scores(self, model):
        """Returns dict with `knn` and `cosine` of a model's features."""
        found = features_of(model, self.queries)
        return {
            "knn": self.knn_accuracy(features_of(model, self.support), found),
            "cosine": float(np.mean(np.sum(_unit(found) * _unit(self.taught), -1))),
        }

    def knn_accuracy(self, support, queries):
        """Returns the share of queries that their nearest neighbours name rightly."""
        from sklearn.neighbors import KNeighborsClassifier

        neighbours = min(NEIGHBOURS, len(support))
        classifier = KNeighborsClassifier(neighbours, metric="cosine")
        classifier.fit(support, self.support_labels)
        return float(classifier.score(queries, self.labels))


def features_of(model, images):
    """Returns a model's features of preprocessed images, float32 array."""
    predict = model.features.predict
    return predict(images, batch_size=trained.BATCH_SIZE, verbose=0)


def rows(teacher, num_blocks):
    """Yields name, settings of the training, and the model as it starts.

    Args:
        teacher: trained ViT.
        num_blocks: int. Of the shorter ViT.
    """
    import keras_concatplexer as kcp
    from benchmarks.accuracy.frontier_training import with_blocks

    for num_mux in (2, 4):
        vit = kcp.vit.with_classes(teacher, None)
        settings = {"model": "concatplexer", "num_mux": num_mux}
        model = kcp.ConcatPlexer(vit, num_mux)
        yield f"ConcatPlexer, N = {num_mux}", settings, model
    short = with_blocks(
        teacher, dataclasses.replace(teacher.size, num_layers=num_blocks)
    )
    name = f"ViT, {num_blocks} of {teacher.size.num_layers} blocks"
    yield name, {"model": "vit"}, kcp.vit.with_classes(short, None)


def adapt(model, judge, folder, settings):
    """Trains one row and returns what is known of it, a dict.

    Args:
        model: model of features as it starts, a ViT or around one.
        judge: `Judge`.
        folder: path of the training.
        settings: dict, flags of `python -m train`.
    """
    import keras_concatplexer as kcp

    before = judge.scores(model)
    start = folder.with_suffix(".start.keras")
    start.parent.mkdir(parents=True, exist_ok=True)
    getattr(model, "vit", model).save(start)
    trainings.train(folder, {**settings, "init_from": str(start)})
    after = judge.scores(trained.load_model(folder))
    return {
        "gmacs_per_image": kcp.flops.count(model).gmacs_per_image,
        **{f"{name}_before": value for name, value in before.items()},
        **{f"{name}_after": value for name, value in after.items()},
    }


def table_line(row):
    """Returns one line of the table, list of str."""
    return [
        row["model"],
        number(row["gmacs_per_image"], 4),
        percent(row["knn_before"]),
        percent(row["knn_after"]),
        number(row["cosine_before"], 3),
        number(row["cosine_after"], 3),
    ]


def main(values):
    """Adapts the rows that are missing and prints all as a Markdown table."""
    import keras

    import keras_concatplexer as kcp
    from benchmarks.accuracy.frontier_training import PLACES

    load = functools.partial(
        trained.load_arrays, values.workdir, values.dataset, values.data_dir
    )
    teacher, queries, labels = load(values.split)
    if not isinstance(teacher, kcp.vit.KerasCVViT):
        raise ValueError(
            f"--workdir={values.workdir} holds a {type(teacher).__name__}. Expected a "
            "plain ViT (python -m train --model=vit)."
        )
    _, support, support_labels = load(values.train_split, values.num_support)
    taught = features_of(teacher, queries)
    judge = Judge(support, support_labels, queries, labels, taught)
    out = folders.own(values.out)
    results = ResultsFile(out / "features.jsonl")
    lines = []
    for name, settings, model in rows(teacher, values.num_blocks):
        settings |= {
            "objective": "features",
            "teacher": str(values.workdir),
            "dataset": values.dataset,
            "train_split": values.train_split,
            "test_split": values.split,
            "epochs": values.epochs,
            "learning_rate": values.learning_rate,
            "warmup_epochs": 0.0,
            "dtype_policy": keras.config.dtype_policy().name,
        }
        if values.data_dir:
            settings["data_dir"] = str(values.data_dir)
        # Whatever makes a row another one; where files are does not.
        told = {k: v for k, v in settings.items() if k not in PLACES}
        key = {"model": name, "seed": 0, "settings": told}
        digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
        short_name = name.replace(" ", "").replace(",", "_")
        folder = out / f"{short_name}_{digest[:8]}"
        compute = functools.partial(adapt, model, judge, folder, settings)
        lines.append(table_line(results.get(key, compute)))
    own = judge.scores(teacher)
    cost = number(kcp.flops.count(teacher).gmacs_per_image, 4)
    lines.insert(0, ["the teacher", cost, None, percent(own["knn"]), None, "1.000"])
    print(table(COLUMNS, lines))


def _unit(features):
    lengths = np.linalg.norm(features, axis=-1, keepdims=True)
    return features / np.maximum(lengths, 1e-12)


if __name__ == "__main__":
    command.run(main, define_flags)
