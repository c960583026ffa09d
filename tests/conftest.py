"""Small models and data that many tests share."""

import contextlib
import fcntl
import gc
import json
import os
import pathlib
import random
import signal

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_concatplexer as kcp

# What was imported stays: the garbage collector need not go through it time and again.
gc.collect()
gc.freeze()
gc.set_threshold(10_000)

# A shell's background job ignores Ctrl-C, and so would the commands under test.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Two replicas for the tests of strategies; everything else uses the first.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2,
)

SMALL = kcp.vit.ViTSize(
    hidden_dim=32, num_layers=2, num_heads=2, mlp_dim=64, patch_size=4
)
# Learns the digits in seconds.
NARROW = kcp.vit.ViTSize(
    hidden_dim=64, num_layers=2, num_heads=4, mlp_dim=128, patch_size=4
)
TINY = kcp.vit.ViTSize(
    hidden_dim=16, num_layers=2, num_heads=2, mlp_dim=32, patch_size=4
)
IMAGE_SHAPE = (16, 16, 3)
NUM_CLASSES = 10
SIZES = {"vit_narrow_test": NARROW, "vit_tiny_test": TINY}
# Settings of a run that takes seconds: 96 images, a ViT of two narrow blocks.
TINY_RUN = {
    "size": "vit_tiny_test",
    "train_split": "train[:96]",
    "validation_split": "train[96:131]",
    "test_split": "test[:35]",
    "batch_size": 32,
    "epochs": 3,
    "warmup_epochs": 0.0,
    "augmentation": "shift",
    "label_smoothing": 0.1,
    "clip_norm": 1.0,
    "ema": 0.9,
    "image_summaries": False,
}

# Their tests run the library for other reasons than to test it.
APPLICATIONS = ("benchmarks", "integration", "savedmodel_export", "train")


def pytest_collection_modifyitems(items):
    """Measures the library's coverage by its own tests: to measure takes time."""
    root = pathlib.Path(__file__).parent
    for item in items:
        if item.path.relative_to(root).parts[0] in APPLICATIONS:
            item.add_marker("no_cover")


@pytest.fixture(scope="module", autouse=True)
def _seed_of_tensorflow():
    # Once a file: TensorFlow forgets its kernels, and optimizes each graph anew.
    keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True)
def fixed_seed():
    """The seeds of NumPy and of Python, from which Keras draws those of its layers."""
    random.seed(0)
    np.random.seed(0)


@pytest.fixture
def global_dtype_policy():
    """Sets the global policy for one test."""
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)


@pytest.fixture
def eager():
    """Runs what Keras compiles step by step: a graph takes longer than a few steps."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="session")
def two_replicas():
    """A strategy over two replicas."""
    from train.config import Config
    from train.strategy import make_strategy

    return make_strategy(Config(strategy="mirrored", logical_cpus=2))


@pytest.fixture(scope="session")
def make_vit():
    def make(**kwargs):
        return kcp.vit.keras_cv_vit(
            SMALL, **{"image_shape": IMAGE_SHAPE, "num_classes": NUM_CLASSES, **kwargs}
        )

    return make


@pytest.fixture(scope="session")
def same_vit(make_vit):
    """One ViT for all tests that neither train it nor look at its values."""
    return make_vit()


@pytest.fixture
def tiny_vit():
    """For tests that trace a model, which takes longer the more there is of it."""
    return kcp.vit.keras_cv_vit(TINY, IMAGE_SHAPE, NUM_CLASSES)


@pytest.fixture(scope="session")
def images():
    """Function that returns n random images; the first ones are always the same."""

    def make(num_images, image_shape=IMAGE_SHAPE):
        rng = np.random.default_rng(1)
        return rng.normal(size=(16, *image_shape)).astype("float32")[:num_images]

    return make


@pytest.fixture(scope="session")
def scramble():
    """Function that moves every weight of a layer or model away from its start."""

    def move(layer, scale=0.1):
        rng = np.random.default_rng(2)
        for weight in layer.trainable_variables:
            noise = rng.normal(size=weight.shape, scale=scale)
            weight.assign(keras.ops.convert_to_numpy(weight) + noise)
        return layer

    return move


@pytest.fixture(scope="session")
def check_layer():
    """Function with the checks that every layer of one input must pass."""

    def check(layer, input_shape, output_shape, **call_arguments):
        inputs = np.random.default_rng(3).normal(size=input_shape).astype("float32")
        outputs = layer(inputs, **call_arguments)
        assert tuple(outputs.shape) == output_shape

        config = layer.get_config()
        copy = type(layer).from_config(config)
        assert copy.get_config() == config
        copy(inputs, **call_arguments)
        copy.set_weights(layer.get_weights())
        np.testing.assert_array_equal(copy(inputs, **call_arguments), outputs)

        mixed = type(layer).from_config({**config, "dtype": "mixed_bfloat16"})
        half = mixed(inputs, **call_arguments)
        assert half.dtype == "bfloat16"
        assert all(weight.dtype == "float32" for weight in mixed.trainable_weights)
        if not call_arguments:
            symbolic = layer(keras.KerasTensor((None, *input_shape[1:])))
            assert symbolic.shape[1:] == output_shape[1:]
        return outputs

    return check


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """Context manager: name -> a folder that the processes of a session share.

    One process has it at a time, so that the first one fills it.
    """
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent

    @contextlib.contextmanager
    def share(name):
        folder = root / f"shared_{name}"
        with open(f"{folder}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder

    return share


@pytest.fixture(scope="session")
def digits_dir(shared):
    """A folder where the digits are prepared once."""
    import tensorflow_datasets as tfds

    import train.data.digits  # noqa: F401

    with shared("tfds") as folder:
        tfds.builder("digits", data_dir=folder).download_and_prepare()
    return folder


@pytest.fixture(scope="module")
def tiny_config(digits_dir):
    """The `Config` of `tiny_run`."""
    from train.config import Config

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(kcp.vit.SIZES, "vit_tiny_test", TINY)
        yield Config(data_dir=str(digits_dir), **TINY_RUN)


@pytest.fixture(scope="session")
def train_once(digits_dir, shared):
    """Function: name, settings -> workdir and results of a run on the digits."""
    from train.config import Config
    from train.trainer import Run

    def train(name, **settings):
        with shared(name) as workdir:
            results = workdir / "results.json"
            if results.exists():
                return workdir, json.loads(results.read_text())
            config = Config(data_dir=str(digits_dir), **settings)
            with pytest.MonkeyPatch.context() as patch:
                for size in SIZES.items():
                    patch.setitem(kcp.vit.SIZES, *size)
                return workdir, Run(config, workdir).fit()

    return train


@pytest.fixture(scope="session")
def tiny_run(train_once):
    """The workdir of a ConcatPlexer trained for a moment, and its results."""
    return train_once("tiny", **TINY_RUN)


@pytest.fixture(scope="session")
def trained_vit(train_once):
    """The workdir of a ViT trained on digits for a few epochs, and its results."""
    return train_once(
        "vit",
        model="vit",
        size="vit_narrow_test",
        epochs=5,
        batch_size=32,
        learning_rate=2e-3,
        warmup_epochs=1.0,
        image_summaries=False,
    )


@pytest.fixture(scope="session")
def trained_concatplexer(trained_vit, train_once):
    """The workdir of that ViT wrapped and trained on, and its results."""
    return train_once(
        "concatplexer",
        init_from=str(trained_vit[0]),
        epochs=2,
        warmup_epochs=0.0,
        learning_rate=3e-4,
        # A last test batch that a group of two does not divide.
        test_split="test[:355]",
    )
