"""The whole way on the embedded digits, by the commands that a user types.

Trains a plain ViT, wraps it as a ConcatPlexer and fine-tunes that, exports both,
reloads the SavedModels with plain TensorFlow and predicts the test split through
them, and labels it once more by the command that scores archives. The last line of the
output is one JSON object.
"""

import json
import time

from absl import flags

from benchmarks import command, folders, trainings

NUM_MUX = 2
BATCH_SIZE = 64
TRAINING = {
    "vit": ["--model=vit", "--epochs=30", "--learning_rate=1e-3"],
    "concatplexer": [
        "--model=concatplexer",
        f"--num_mux={NUM_MUX}",
        "--epochs=12",
        "--learning_rate=3e-4",
    ],
}


def define_flags():
    """Defines the command's flags."""
    command.define_path("workdir", "build/demo", "Folder of the demo's files.")
    flags.DEFINE_integer("seed", 0, "Seed of both trainings.", 0)


def main(values):
    """Runs the demo."""
    started = time.perf_counter()
    workdir = folders.own_anew(values.workdir, (*TRAINING, "export", "data", "scores"))
    runs = {name: workdir / name for name in TRAINING}
    exports = {name: workdir / "export" / name for name in TRAINING}
    for name, arguments in TRAINING.items():
        init = [f"--init_from={runs['vit']}"] if name != "vit" else []
        trainings.command(
            "train",
            "--dataset=digits",
            f"--data_dir={workdir / 'data'}",
            f"--batch_size={BATCH_SIZE}",
            "--augmentation=shift",
            f"--seed={values.seed}",
            *arguments,
            *init,
            f"--workdir={runs[name]}",
        )
    for name in TRAINING:
        trainings.command(
            "savedmodel_export",
            f"--workdir={runs[name]}",
            f"--export_dir={exports[name]}",
        )
    results = {
        name: json.loads((run / "results.json").read_text())
        for name, run in runs.items()
    }
    exported = _evaluate_exports(workdir / "data", exports)
    _print_table(results, exported)
    scored = _score(workdir, exports["concatplexer"] / "1")
    print(
        json.dumps(
            {
                "dataset": "digits",
                "model": "concatplexer",
                "num_mux": NUM_MUX,
                "test_accuracy": results["concatplexer"]["test_accuracy"],
                "test_accuracy_exported": exported["concatplexer"]["accuracy"],
                "test_accuracy_scored": scored,
                "images_per_second_exported": exported["concatplexer"]["images/s"],
                "images_per_second_vit": exported["vit"]["images/s"],
                "export_dir": str(exports["concatplexer"]),
                "seconds": round(time.perf_counter() - started, 1),
            }
        )
    )


def _evaluate_exports(data_dir, exports):
    """Accuracy on the test split and images/s of each SavedModel."""
    import numpy as np
    import tensorflow as tf

    from benchmarks.timing import interleaved_seconds

    examples = _test_examples(data_dir)
    # The exported models take images at their own size.
    signatures = {}
    for name, export_dir in exports.items():
        model = tf.saved_model.load(str(export_dir / "1"))
        signatures[name] = model.signatures["serving_default"]
    side = signatures["vit"].structured_input_signature[1]["images"].shape[1]
    images = tf.image.resize(examples["image"], (side, side), antialias=True)
    labels = examples["label"].numpy()

    def predict(signature):
        return np.concatenate(
            [
                signature(images=images[start : start + BATCH_SIZE])["class_ids"]
                for start in range(0, len(labels), BATCH_SIZE)
            ]
        )

    seconds = interleaved_seconds(
        {
            name: lambda signature=signature: predict(signature)
            for name, signature in signatures.items()
        }
    )
    return {
        name: {
            "accuracy": float(np.mean(predict(signature) == labels)),
            "images/s": round(len(labels) / seconds[name], 1),
        }
        for name, signature in signatures.items()
    }


def _test_examples(data_dir):
    """The test split as one batch, with the keys that TFDS gives its examples."""
    import tensorflow_datasets as tfds

    import train.data.digits  # noqa: F401 (registers the embedded dataset)

    examples = tfds.load(
        "digits",
        split="test",
        data_dir=data_dir,
        read_config=tfds.ReadConfig(add_tfds_id=True),
    )
    return examples.batch(len(examples)).get_single_element()


def _score(workdir, version):
    """Scores the test split by the command; shows its table and returns its accuracy.

    The batches are those of the exported model above: in group scope an answer depends
    on the images beside it.
    """
    import pyarrow.parquet

    scores = workdir / "scores"
    trainings.command(
        "savedmodel_export.scoring",
        f"--model={version}",
        "--input=tfds:digits:test",
        f"--data_dir={workdir / 'data'}",
        f"--output={scores}",
        f"--batch_size={BATCH_SIZE}",
    )
    print(*sorted(path.name for path in scores.iterdir()))
    (path,) = scores.glob("part-*.parquet")
    rows = pyarrow.parquet.read_table(path).to_pylist()
    _print_rows(f"{path.name}, the first of {len(rows)} rows", rows[:3])
    examples = _test_examples(workdir / "data")
    keys, labels = examples["tfds_id"].numpy(), examples["label"].numpy()
    label_of = {key.decode(): label for key, label in zip(keys, labels, strict=True)}
    right = [row["class_id"] == label_of.pop(row["key"]) for row in rows]
    return sum(right) / (len(right) + len(label_of))


def _print_table(results, exported):
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"digits, test split, exported models at batch {BATCH_SIZE}")
    for column in ("model", "test accuracy", "exported", "GMACs/image", "images/s"):
        table.add_column(column, justify="left" if column == "model" else "right")
    for name, row in results.items():
        table.add_row(
            name if name == "vit" else f"{name}, N = {NUM_MUX}",
            f"{row['test_accuracy']:.4f}",
            f"{exported[name]['accuracy']:.4f}",
            f"{row['gmacs_per_image']:.5f}",
            f"{exported[name]['images/s']:,.0f}",
        )
    Console(width=88).print(table)


def _print_rows(title, rows):
    from rich.console import Console
    from rich.table import Table

    table = Table(*rows[0], title=title)
    for row in rows:
        table.add_row(*map(str, row.values()))
    Console(width=88).print(table)


if __name__ == "__main__":
    command.run(main, define_flags)
