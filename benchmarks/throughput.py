"""Images per second of exported models, against each other and the machine's limit.

`python -m benchmarks.throughput` exports ViT-B/16 as the plain Keras graph and as
the fused graph, and ConcatPlexer with N = 2 (6 + 6 blocks) and N = 4 (3 + 9), with
random weights: speed does not depend on them. The SavedModels are reloaded and
timed in turn, round by round, so that all meet the same machine.
"""

import functools
import json
import pathlib
import tempfile
import time

import numpy as np
import tensorflow as tf
from absl import app, flags, logging

import keras_concatplexer as kcp
from benchmarks import machine
from benchmarks.timing import MIN_REPEATS, interleaved_seconds
from savedmodel_export import export
from savedmodel_export.inference import choose_inference

PLAIN, NUM_CLASSES = "vit_b16, plain Keras", 1000
# Name of a model -> arguments of ConcatPlexer, or None for the ViT itself.
MODELS = {
    "vit_b16": None,
    "concatplexer_b16_n2": {"num_mux": 2, "patchifier_depth": 6},
    "concatplexer_b16_n2, image scope": {
        "num_mux": 2,
        "patchifier_depth": 6,
        "attention_scope": "image",
    },
    "concatplexer_b16_n4": {"num_mux": 4, "patchifier_depth": 3},
}

flags.DEFINE_list("batch_sizes", ["1", "8", "32"], "Images per request.")
flags.DEFINE_integer("image_size", 224, "Side of the images in pixels.")
flags.DEFINE_integer("repeats", MIN_REPEATS, "Rounds counted.", lower_bound=MIN_REPEATS)
flags.DEFINE_string("out", "build/throughput.json", "File of the results.")
flags.DEFINE_bool("allow_load", False, "Measure on a busy machine too.")


def export_rows(folder, image_size):
    """Exports every row.

    Returns:
        dict, row name -> dict with its SavedModel, precision and costs.
    """
    shape = (image_size, image_size, 3)
    preprocessor = kcp.preprocessing.ImagePreprocessor(shape)
    names = [str(index) for index in range(NUM_CLASSES)]
    vit = kcp.vit.keras_cv_vit("vit_b16", shape, NUM_CLASSES)
    rows = {}

    def add(name, model, fuse, precision):
        started = time.perf_counter()
        target = pathlib.Path(folder) / str(len(rows))
        version = export(
            model, preprocessor, names, target, fuse=fuse, precision=precision
        )
        predict = choose_inference(model, fuse, precision).predict
        executed = kcp.flops.count_function(predict, shape, batch_size=8)
        rows[name] = {
            "saved_model": str(version),
            "precision": precision,
            "gmacs_per_image": kcp.flops.formula(model).gmacs_per_image,
            "gmacs_executed": executed.gmacs_per_image,
            "export_seconds": round(time.perf_counter() - started, 1),
        }

    add(PLAIN, vit, False, "float32")
    for precision in ("float32", "bfloat16"):
        for name, arguments in MODELS.items():
            model = kcp.ConcatPlexer(vit, **arguments) if arguments else vit
            add(f"{name}, {precision}", model, True, precision)
    return rows


def measure(rows, image_size, batch_sizes, repeats):
    """Adds `images_per_second`, batch size -> images/s, to every row.

    Returns:
        dict, dtype -> GFLOP/s of a bare matrix product, timed in the same rounds.
    """
    signatures = {
        name: tf.saved_model.load(row["saved_model"]).signatures["serving_default"]
        for name, row in rows.items()
    }
    gemms = machine.gemm_functions()
    for row in rows.values():
        row["images_per_second"] = {}
    for batch_size in batch_sizes:
        images = tf.random.stateless_uniform(
            (batch_size, image_size, image_size, 3), seed=(0, 0), maxval=255.0
        )
        functions = {
            name: functools.partial(_logits, signature, images)
            for name, signature in signatures.items()
        }
        seconds = interleaved_seconds({**functions, **gemms}, repeats)
        for name, row in rows.items():
            row["images_per_second"][batch_size] = batch_size / seconds[name]
    return {dtype: machine.gemm_flops() / seconds[dtype] / 1e9 for dtype in gemms}


def _logits(signature, images):
    return np.asarray(signature(images=images)["logits"])


def compare(rows, gemm_gflops, batch_size):
    """Adds the ratios at one batch size to every row."""
    rates = {name: row["images_per_second"][batch_size] for name, row in rows.items()}
    for name, row in rows.items():
        peer_name = f"vit_b16, {row['precision']}"
        peer = rows[peer_name]
        row["over_plain_keras"] = rates[name] / rates[PLAIN]
        row["over_fused_vit"] = rates[name] / rates[peer_name]
        row["flop_ratio"] = peer["gmacs_per_image"] / row["gmacs_per_image"]
        executed_ratio = peer["gmacs_executed"] / row["gmacs_executed"]
        row["of_ideal"] = row["over_fused_vit"] / row["flop_ratio"]
        row["of_ideal_executed"] = row["over_fused_vit"] / executed_ratio
        gflops = 2 * row["gmacs_executed"] * rates[name]
        row["of_gemm_limit"] = gflops / gemm_gflops[row["precision"]]


def table(rows, batch_sizes):
    """Returns the rows as a Markdown table."""
    columns = [
        "model, precision",
        "GMACs",
        "executed",
        *(f"batch {size}" for size in batch_sizes),
        "x plain Keras",
        "x fused ViT",
        "FLOP ratio",
        "of ideal",
        "of ideal, executed",
        "of GEMM limit",
    ]
    lines = [columns, ["---"] * len(columns)]
    for name, row in rows.items():
        rates = (f"{row['images_per_second'][size]:.1f}" for size in batch_sizes)
        ratios = (
            f"{row[key]:.3f}"
            for key in (
                "over_plain_keras",
                "over_fused_vit",
                "flop_ratio",
                "of_ideal",
                "of_ideal_executed",
                "of_gemm_limit",
            )
        )
        costs = (f"{row[key]:.2f}" for key in ("gmacs_per_image", "gmacs_executed"))
        lines.append([name, *costs, *rates, *ratios])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main(argv):
    """Exports, measures and prints the table."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)
    values = flags.FLAGS
    if not values.allow_load:
        machine.check_idle()
    batch_sizes = [int(size) for size in values.batch_sizes]
    with tempfile.TemporaryDirectory() as folder:
        rows = export_rows(folder, values.image_size)
        gemm_gflops = measure(rows, values.image_size, batch_sizes, values.repeats)
    compare(rows, gemm_gflops, 8 if 8 in batch_sizes else batch_sizes[0])
    results = {
        "machine": machine.description(),
        "gemm_gflops": gemm_gflops,
        "repeats": values.repeats,
        "rows": rows,
    }
    path = pathlib.Path(values.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(results["machine"]))
    print({dtype: f"{rate:.0f} GFLOP/s" for dtype, rate in gemm_gflops.items()})
    print(table(rows, batch_sizes))


if __name__ == "__main__":
    app.run(main)
