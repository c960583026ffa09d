"""The command that scores: its flags and what it does."""

import contextlib
import fcntl
import importlib.util
import os
import signal
import sys

from absl import flags

from savedmodel_export.command import define_path, topic
from savedmodel_export.scoring.job import Counts, Job, Settings
from savedmodel_export.scoring.model import ModelInfo
from savedmodel_export.scoring.plan import RECORDS, TFDS, make_plan
from savedmodel_export.scoring.progress import Progress
from savedmodel_export.scoring.storage import Folder
from savedmodel_export.scoring.tables import FORMATS, VECTORS


def define_flags():
    """Defines the command's flags. Another command may have some of the same name."""
    with topic("Model"):
        define_path("model", None, "Version folder: served/NAME/1.", required=True)
        flags.DEFINE_integer("num_mux", None, "N of an elastic model; its default.")
        flags.DEFINE_integer("batch_size", 32, "Images per call.", lower_bound=1)
        flags.DEFINE_integer("threads", None, "Processor threads.", lower_bound=1)
    with topic("Input"):
        flags.DEFINE_string(
            "input",
            None,
            "A folder, a glob, a list.txt, tfds:NAME[:SPLIT] or tfrecord:GLOB.",
            required=True,
        )
        define_path("data_dir", None, "Folder of the TFDS data sets.")
        flags.DEFINE_string("key_feature", None, "Feature of tf.Examples with the key.")
    with topic("Output"):
        define_path("output", None, "Folder of the tables.", required=True)
        flags.DEFINE_enum("format", "parquet", FORMATS, "Of the tables.")
        flags.DEFINE_integer("shard_size", 10_000, "Images per table.", lower_bound=1)
        flags.DEFINE_integer("top_k", 0, "List the K most probable.", lower_bound=0)
        flags.DEFINE_multi_enum(
            "outputs", [], VECTORS, "Lists to add; may be repeated."
        )
        flags.DEFINE_float(
            "max_error_share",
            0.01,
            "End if more images cannot be scored.",
            lower_bound=0.0,
            upper_bound=1.0,
        )
    with topic("Apache Beam"):
        flags.DEFINE_string(
            "runner", None, "DirectRunner, FlinkRunner ...; takes Beam's flags, too."
        )


def main(*options):
    """Scores the images of the input; `options` are flags for Beam."""
    values = flags.FLAGS
    if options and values.runner is None:
        sys.exit(f"error: Unknown flags: {' '.join(options)}\nTry --help.")
    signal.signal(signal.SIGTERM, _terminate)
    try:
        _run(values, list(options))
    except (OSError, ValueError, _Terminated) as error:
        sys.exit(f"error: {error}")


class _Terminated(Exception):
    """The process was asked to end."""


def _terminate(*arguments):
    raise _Terminated(
        "terminated. The tables that are there are complete; the same command goes on."
    )


def _run(values, options):
    info = ModelInfo(values.model, values.num_mux)
    outputs = tuple(dict.fromkeys(values.outputs))
    if info.class_names is None:
        if values.top_k:
            raise ValueError(
                f"--top_k={values.top_k}, but --model={values.model} has no classes: "
                "it gives features. Leave it out."
            )
        outputs = outputs or (info.answer,)
    settings = Settings(
        **{
            name: getattr(values, name)
            for name in ("input", "batch_size", "shard_size", "top_k", "format")
        },
        outputs=outputs,
    )
    if values.data_dir and not settings.input.startswith(TFDS):
        raise ValueError(f"--data_dir belongs to --input={TFDS}NAME.")
    if values.key_feature and not settings.input.startswith(RECORDS):
        raise ValueError(f"--key_feature belongs to --input={RECORDS}PATTERN.")
    plan = make_plan(
        settings.input, settings.shard_size, values.data_dir, values.key_feature
    )
    threads = values.threads
    if values.runner is not None and threads is None:
        # Beam's workers have a processor each, as a rule.
        threads = 1
    job = Job(settings, info, values.output, plan, values.max_error_share, threads)
    if values.runner is not None:
        _check_beam(values.runner)
    job.begin()
    with _locked(Folder(values.output)) as folder:
        folder.remove_unfinished()
        if values.runner is None:
            from savedmodel_export.scoring import local_runner

            with Progress(plan.num_images) as progress:
                local_runner.run(job, progress)
        else:
            from savedmodel_export.scoring import beam_runner

            beam_runner.run(job, values.runner, options)
        counts = sum(job.finished().values(), Counts())
        if not counts.images:
            raise ValueError(f"--input={settings.input} holds no image.")
        job.write_manifest(counts, finished=True)
    print(
        f"{counts.scored:,} images scored, {counts.errors:,} errors: {values.output}",
        file=sys.stderr,
    )


def _check_beam(runner):
    if importlib.util.find_spec("apache_beam") is None:
        raise ValueError(
            f"--runner={runner} needs Apache Beam, which is not installed: pip install "
            "'keras-concatplexer[beam]'."
        )


@contextlib.contextmanager
def _locked(folder):
    """Keeps a second run out of a folder of this machine."""
    if not folder.is_local:
        yield folder
        return
    descriptor = os.open(folder.path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield folder
    except BlockingIOError as error:
        raise ValueError(f"Another run writes to {folder.address}.") from error
    finally:
        os.close(descriptor)
