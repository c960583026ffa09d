"""One exported model in a process of its own: asked alone, and by files."""

import pathlib
import resource
import shutil
import time

import numpy as np
import tensorflow as tf

from keras_concatplexer.image_decoding import decode_images
from keras_concatplexer.preprocessing import ImagePreprocessor
from savedmodel_export.scoring.job import Job, Settings
from savedmodel_export.scoring.model import ModelInfo
from savedmodel_export.scoring.plan import make_plan
from savedmodel_export.scoring.shard import score_shard


class Scorer:
    """Times what an archive is scored with.

    Args:
        version: path of the version folder.
        files: list of str, the image files.
        folder: path of a folder to write to.
        batch_size: int.
        side: int, of the model's images.
    """

    def __init__(self, version, files, folder, batch_size, side):
        self._info, self._files = ModelInfo(version), files
        self._folder, self._batch_size = pathlib.Path(folder), batch_size
        self._model = None
        self._loaded = tf.saved_model.load(version)
        shape = (batch_size, side, side, 3)
        images = np.random.default_rng(0).integers(0, 256, shape)
        self._images = tf.constant(images, tf.float32)
        self._preprocessor = ImagePreprocessor((side, side, 3))
        self._decode = tf.function(lambda x: decode_images(x, self._preprocessor))

    def alone(self, batches):
        """Answers ready arrays; returns the seconds, and those of the processor."""
        serve = self._loaded.signatures["serving_default"]

        def run():
            for _ in range(batches):
                serve(images=self._images)["logits"].numpy()

        return _timed(run)

    def score(self, batches):
        """Scores files into a table, as the command does with a shard."""
        listed = self._folder / "list.txt"
        output = self._folder / "scores"
        shutil.rmtree(output, ignore_errors=True)
        number = batches * self._batch_size
        listed.write_text("\n".join(self._files[:number]) + "\n")
        settings = Settings(str(listed), self._batch_size, number)
        plan = make_plan(str(listed), number)
        job = Job(settings, self._info, str(output), plan)
        job.begin()
        if self._model is None:
            self._model = job.load_model()
        (shard,) = plan.shards
        return _timed(lambda: score_shard(job, self._model, shard))

    def decode(self, batches):
        """Decodes and preprocesses files by the export's own code."""
        contents = [
            pathlib.Path(name).read_bytes()
            for name in self._files[: batches * self._batch_size]
        ]
        groups = [
            tf.constant(contents[start : start + self._batch_size])
            for start in range(0, len(contents), self._batch_size)
        ]
        self._decode(groups[0])
        return _timed(lambda: [self._decode(group).numpy() for group in groups])


def _timed(function):
    before, started = _processor_seconds(), time.perf_counter()
    function()
    return {
        "seconds": time.perf_counter() - started,
        "processor_seconds": _processor_seconds() - before,
    }


def _processor_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
