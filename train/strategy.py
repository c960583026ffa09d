"""The devices of a run, as a `tf.distribute` strategy."""

import json
import os

import tensorflow as tf

_TF_CONFIG = (
    'Expected, for example, {"cluster": {"worker": ["host0:port", "host1:port"]}, '
    '"task": {"type": "worker", "index": 0}}, with an index of its own on each.'
)


def make_strategy(config):
    """Returns the `tf.distribute.Strategy` of a `Config`.

    Call it before anything else of TensorFlow: devices cannot be split, nor
    workers connected, once it runs. One device gives the default strategy.

    Raises:
        ValueError: if the devices or workers are not there.
    """
    _split_cpu(config.logical_cpus)
    name = config.strategy if config.strategy != "auto" else _best_strategy(config)
    return {
        "one_device": tf.distribute.get_strategy,
        "mirrored": lambda: _mirrored(config),
        "multi_worker": _multi_worker,
        "tpu": lambda: _tpu(config.tpu),
    }[name]()


def is_multi_worker(strategy):
    """Whether the replicas are spread over several processes."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def is_chief(strategy):
    """Whether this process writes the files of the run."""
    if not is_multi_worker(strategy):
        return True
    resolver = strategy.cluster_resolver
    if "chief" in resolver.cluster_spec().jobs:
        return resolver.task_type == "chief"
    return resolver.task_id == 0


def check_batch_size(batch_size, num_replicas, num_mux):
    """Checks that every replica gets the same number of full groups.

    Raises:
        ValueError: naming the nearest sizes that divide.
    """
    unit = num_replicas * num_mux
    if batch_size % unit:
        lower = batch_size // unit * unit
        nearest = f"{lower} or {lower + unit}" if lower else str(unit)
        raise ValueError(
            f"--batch_size must be a multiple of {unit}: {num_replicas} replicas, "
            f"{num_mux} images per sequence. Received: {batch_size}. The nearest: "
            f"{nearest}."
        )


def check_one_device(config, strategy):
    """Refuses what Keras can do on one device only.

    Raises:
        ValueError: naming the flag.
    """
    if strategy is tf.distribute.get_strategy():
        return
    for name in ("steps_per_execution", "gradient_accumulation"):
        if getattr(config, name) > 1:
            raise ValueError(
                f"--{name} works on one device only: Keras fails under a strategy. "
                f"Set --{name}=1 or --strategy=one_device."
            )


def check_same_progress(strategy, epochs):
    """Waits for all workers, and checks that they stand where the chief does.

    Raises:
        ValueError: if the workers do not count the same completed epochs.
    """
    if not is_multi_worker(strategy):
        return
    counts = strategy.gather(strategy.run(lambda: tf.constant([epochs])), axis=0)
    if len(set(counts.numpy())) > 1:
        raise ValueError(
            "The workers do not see the same checkpoints: their completed epochs "
            f"are {counts.numpy().tolist()}. Give all workers one --workdir on a "
            "file system that they share."
        )


def sharded_by_rows(dataset):
    """Lets every worker read everything and keep its part of each batch."""
    options = tf.data.Options()
    policy = tf.data.experimental.AutoShardPolicy.DATA
    options.experimental_distribute.auto_shard_policy = policy
    return dataset.with_options(options)


def _split_cpu(num_replicas):
    if num_replicas == 1:
        return
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * num_replicas
        )
    except RuntimeError as error:  # TensorFlow runs already.
        there = len(tf.config.list_logical_devices("CPU"))
        if there < num_replicas:
            raise ValueError(
                f"--logical_cpus={num_replicas}: TensorFlow runs already, with "
                f"{there} of them. Split the CPU first."
            ) from error


def _best_strategy(config):
    if config.tpu:
        return "tpu"
    try:
        cluster = json.loads(os.environ.get("TF_CONFIG") or "{}").get("cluster", {})
    except (ValueError, AttributeError) as error:
        raise ValueError(
            f"The environment variable TF_CONFIG is no JSON object: {error}. "
            f"{_TF_CONFIG}"
        ) from error
    if sum(len(cluster.get(job, ())) for job in ("chief", "worker")) > 1:
        return "multi_worker"
    several_gpus = len(tf.config.list_physical_devices("GPU")) > 1
    return "mirrored" if several_gpus or config.logical_cpus > 1 else "one_device"


def _mirrored(config):
    if tf.config.list_physical_devices("GPU"):
        return tf.distribute.MirroredStrategy()
    return tf.distribute.MirroredStrategy(
        [f"CPU:{index}" for index in range(config.logical_cpus)],
        # The parts of one CPU need no collective operations, whose keys collide
        # when a process makes a second strategy.
        cross_device_ops=tf.distribute.ReductionToOneDevice(),
    )


def _multi_worker():
    if "TF_CONFIG" not in os.environ:
        raise ValueError(
            "--strategy=multi_worker needs the environment variable TF_CONFIG on every "
            f"worker. {_TF_CONFIG}"
        )
    return tf.distribute.MultiWorkerMirroredStrategy()


def _tpu(name):
    """Connects to a TPU by the standard way. Not tested: no TPU was at hand."""
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=name)
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise ValueError(
            f"--strategy=tpu: the TPU {name!r} cannot be reached: {error}"
        ) from error
    return tf.distribute.TPUStrategy(resolver)
