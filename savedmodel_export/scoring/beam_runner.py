"""Scores shards on Apache Beam, by whatever runner the user has."""

import dataclasses

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.utils.shared import Shared

from savedmodel_export.scoring.shard import score_shard


def run(job, runner, options):
    """Scores the shards that are not finished.

    Args:
        job: `Job`, begun.
        runner: str, name of a Beam runner.
        options: list of str, flags for Beam.
    """
    finished = job.finished()
    shards = [shard for shard in job.plan.shards if shard.index not in finished]
    if not shards:
        return
    with beam.Pipeline(options=PipelineOptions([f"--runner={runner}", *options])) as p:
        (
            p
            | "Shards" >> beam.Create(shards)
            | "Spread" >> beam.Reshuffle()
            | "Score" >> beam.ParDo(ScoreShard(job))
        )


class ScoreShard(beam.DoFn):
    """Scores shards with one model per process.

    Args:
        job: `Job`.
    """

    def __init__(self, job):
        # Every worker gets a copy, which needs no list of all images.
        plan = dataclasses.replace(job.plan, shards=())
        self._job, self._shared = dataclasses.replace(job, plan=plan), Shared()

    def setup(self):
        """Loads the model, unless another thread of this process has."""
        self._model = self._shared.acquire(self._job.load_model)

    def process(self, shard):
        """Writes a shard's tables; gives nothing on."""
        score_shard(self._job, self._model, shard)
