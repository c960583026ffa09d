"""Images per second in training: ConcatPlexer against its ViT, one and two replicas.

`python -m benchmarks.speed.training_steps` times training steps in float32, of the one
batch on one device and split over two replicas of `tf.distribute.MirroredStrategy`.
Here the two are logical CPUs of one machine, which share its cores: what is seen is the
cost of replication, not a gain. All steps are timed in turn, round by round.
"""

import functools
import json
import pathlib

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags, logging

import keras_concatplexer as kcp
from benchmarks import machine
from benchmarks.accuracy.recipe import classification_loss
from benchmarks.timing import MIN_REPEATS, interleaved_seconds

NUM_CLASSES = 10
NUM_MUX = (1, 2, 4)
# Name of a model -> function, the ViT -> the model.
MODELS = {
    "vit": lambda vit: vit,
    "concatplexer, N = 2": lambda vit: kcp.ConcatPlexer(vit, 2),
    "concatplexer, N = 4": lambda vit: kcp.ConcatPlexer(vit, 4),
    "elastic, N = 1, 2, 4": lambda vit: kcp.ElasticConcatPlexer(vit, NUM_MUX),
    "elastic, in-place distillation": lambda vit: kcp.ElasticConcatPlexer(
        vit, NUM_MUX, in_place_weight=1.0
    ),
}
REPLICAS = (1, 2)


def define_flags(flag_values=flags.FLAGS):
    """Defines the command's flags."""
    own = {"flag_values": flag_values}
    flags.DEFINE_string("size", "vit_nano4", "Size of the ViT.", **own)
    flags.DEFINE_integer("image_size", 32, "Side of the images in pixels.", 1, **own)
    flags.DEFINE_integer("batch_size", 64, "Images per step, of all.", 1, **own)
    flags.DEFINE_integer("repeats", MIN_REPEATS, "Rounds.", MIN_REPEATS, **own)
    flags.DEFINE_string("out", "benchmarks/results/training.json", "Results.", **own)
    flags.DEFINE_bool("allow_load", False, "Measure on a busy machine too.", **own)


def strategies():
    """dict, number of replicas -> strategy. One replica has all cores as well."""
    devices = [device.name for device in tf.config.list_logical_devices("CPU")]
    if len(devices) < max(REPLICAS):
        raise RuntimeError(
            f"Expected {max(REPLICAS)} logical CPUs, made before TensorFlow starts. "
            f"Received: {devices}"
        )
    return {
        count: tf.distribute.MirroredStrategy(devices[:count])
        if count > 1
        else tf.distribute.OneDeviceStrategy(devices[0])
        for count in REPLICAS
    }


def training_step(wrap, strategy, size, image_shape, batch_size):
    """Returns a function without arguments that does one step and waits for it."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    images = rng.normal(size=(batch_size, *image_shape)).astype("float32")
    labels = rng.integers(NUM_CLASSES, size=batch_size)
    with strategy.scope():
        model = wrap(kcp.vit.keras_cv_vit(size, image_shape, NUM_CLASSES))
        model.compile(keras.optimizers.AdamW(1e-3), classification_loss())
    dataset = tf.data.Dataset.from_tensors((images, labels)).repeat()
    batches = iter(strategy.experimental_distribute_dataset(dataset))
    # One short epoch builds the optimizer as any training does.
    model.fit(dataset, steps_per_epoch=1, verbose=0)
    return functools.partial(_step, model.make_train_function(), batches)


def _step(train_function, batches):
    return float(train_function(batches)["loss"])


def measure(size, image_shape, batch_size, repeats=MIN_REPEATS):
    """Returns dict, model name -> number of replicas as str -> images/s.

    Args:
        size: a name in `kcp.vit.SIZES`, or a `ViTSize`.
        image_shape: `(height, width, channels)`.
        batch_size: int, of all replicas together.
        repeats: int, rounds.
    """
    steps = {
        (name, str(count)): training_step(wrap, strategy, size, image_shape, batch_size)
        for count, strategy in strategies().items()
        for name, wrap in MODELS.items()
    }
    rates = {name: {} for name in MODELS}
    for (name, count), seconds in interleaved_seconds(steps, repeats).items():
        rates[name][count] = round(batch_size / seconds, 1)
    return rates


def table(rates):
    """Returns the rates as a Markdown table."""
    lines = ["| model | replicas | images/s | x ViT |", "|---|---|---|---|"]
    for count in map(str, REPLICAS):
        for name, by_count in rates.items():
            ratio = by_count[count] / rates["vit"][count]
            lines.append(f"| {name} | {count} | {by_count[count]:.0f} | {ratio:.2f} |")
    return "\n".join(lines)


def main(argv):
    """Measures, writes the results and prints the table."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)
    values = flags.FLAGS
    if not values.allow_load:
        machine.check_idle()
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * max(REPLICAS),
    )
    image_shape = (values.image_size, values.image_size, 3)
    rates = measure(values.size, image_shape, values.batch_size, values.repeats)
    results = {
        "machine": machine.description(),
        "size": values.size,
        "image_shape": image_shape,
        "batch_size": values.batch_size,
        "repeats": values.repeats,
        "images_per_second": rates,
    }
    path = pathlib.Path(values.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(results["machine"]))
    print(table(rates))


if __name__ == "__main__":
    define_flags()
    app.run(main)
