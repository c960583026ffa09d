"""Scores shards one after the other on this machine."""

from savedmodel_export.scoring.job import Counts
from savedmodel_export.scoring.shard import score_shard


def run(job, progress):
    """Scores the shards that are not finished.

    Args:
        job: `Job`, begun.
        progress: `Progress`.
    """
    finished = job.finished()
    done = sum(finished.values(), Counts())
    left = [shard for shard in job.plan.shards if shard.index not in finished]
    model = job.load_model() if left else None
    # From here on, so that loading does not count as slowness.
    progress.skip(done)
    for shard in left:
        done += score_shard(job, model, shard, done.errors, progress.add)
