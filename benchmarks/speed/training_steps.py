"""Images per second in training: ConcatPlexer against its ViT, one and two replicas.

`python -m benchmarks.speed.training_steps` times training steps in float32, of the one
batch on one device and split over two replicas of `tf.distribute.MirroredStrategy`.
Here the two are logical CPUs of one machine, which share its cores: what is seen is the
cost of replication, not a gain. All steps are timed in turn, round by round.
"""

import functools
import json

import numpy as np
from absl import flags

from benchmarks import command, folders, machine
from benchmarks.markdown import number, table
from benchmarks.timing import MIN_REPEATS, interleaved_seconds

NUM_CLASSES = 10
NUM_MUX = (1, 2, 4)
REPLICAS = (1, 2)


def define_flags():
    """Defines the command's flags."""
    flags.DEFINE_string("size", "vit_nano4", "Size of the ViT.")
    flags.DEFINE_integer("image_size", 32, "Side of the images in pixels.", 1)
    flags.DEFINE_integer("batch_size", 64, "Images per step, of all.", 1)
    flags.DEFINE_integer("repeats", MIN_REPEATS, "Rounds.", MIN_REPEATS)
    command.define_path("out", "benchmarks/results", "Folder of the results.")


def wrappers():
    """dict, name of a model -> function, the ViT -> the model."""
    import keras_concatplexer as kcp

    return {
        "vit": lambda vit: vit,
        "concatplexer, N = 2": lambda vit: kcp.ConcatPlexer(vit, 2),
        "concatplexer, N = 4": lambda vit: kcp.ConcatPlexer(vit, 4),
        "elastic, N = 1, 2, 4": lambda vit: kcp.ElasticConcatPlexer(vit, NUM_MUX),
        "elastic, in-place distillation": lambda vit: kcp.ElasticConcatPlexer(
            vit, NUM_MUX, in_place_weight=1.0
        ),
    }


def strategies():
    """dict, number of replicas -> strategy. One replica has all cores as well."""
    import tensorflow as tf

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
    import keras
    import tensorflow as tf

    import keras_concatplexer as kcp

    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    images = rng.normal(size=(batch_size, *image_shape)).astype("float32")
    labels = rng.integers(NUM_CLASSES, size=batch_size)
    with strategy.scope():
        model = wrap(kcp.vit.keras_cv_vit(size, image_shape, NUM_CLASSES))
        model.compile(
            keras.optimizers.AdamW(1e-3),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
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
        for name, wrap in wrappers().items()
    }
    rates = {}
    for (name, count), seconds in interleaved_seconds(steps, repeats).items():
        rates.setdefault(name, {})[count] = round(batch_size / seconds, 1)
    return rates


def rates_table(rates):
    """Returns the rates as a Markdown table."""
    lines = [
        [
            name,
            count,
            number(by_count[count], 0),
            number(by_count[count] / rates["vit"][count], 2),
        ]
        for count in map(str, REPLICAS)
        for name, by_count in rates.items()
    ]
    return table(["model", "replicas", "images/s", "x ViT"], lines)


def main(values):
    """Measures, writes the results and prints the table."""
    import tensorflow as tf

    out = folders.own(values.out)
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
    (out / "training.json").write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(results["machine"]))
    print(rates_table(rates))


if __name__ == "__main__":
    command.run(main, define_flags, measures=True)
