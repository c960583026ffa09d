"""Scores one shard: the function that every runner calls."""

import collections
import concurrent.futures
import contextlib
import itertools

import numpy as np

from savedmodel_export.scoring.job import Counts
from savedmodel_export.scoring.storage import Folder
from savedmodel_export.scoring.tables import (
    ERRORS,
    TableWriter,
    scores_schema,
    text,
)

# Calls of the model at once: while one computes, the other decodes.
CALLS = 2
# Rows that are held before they are written.
ROW_GROUP = 1024


class TooManyErrorsError(ValueError):
    """More images cannot be scored than the user allows."""


def score_shard(job, model, shard, errors_before=0, progress=None):
    """Writes the tables of a shard. They get their names when both are complete.

    The batches are `job.settings.batch_size` images in the shard's order. Of a batch
    with images that cannot be read or decoded the others are asked together.

    Args:
        job: `Job`.
        model: `Model` of `job.info`.
        shard: `Shard`.
        errors_before: int. Errors of the shards before it, for `max_error_share`.
        progress: function or `None`, called with the `Counts` of each batch.

    Returns:
        `Counts`.

    Raises:
        TooManyErrorsError: then the shard has no tables.
    """
    folder = Folder(job.output)
    score = _Scores(job)
    counts, errors = Counts(), {"key": [], "reason": []}
    # The table of scores marks the shard as finished: it gets its name last.
    with _table(folder, job.table_name(shard.index), score.schema, job) as scores:
        rows = score.no_rows()
        for images, answers, wrong in _answers(job, model, shard):
            more = score.columns(images, answers, wrong)
            for name, column in more.items():
                rows[name] += column
            _note(errors, images, wrong)
            step = Counts(len(images) - len(wrong), len(wrong))
            counts += step
            if step.errors:
                _check(job, errors, errors_before + counts.errors, job.max_errors)
            if len(rows["key"]) >= ROW_GROUP:
                scores.write(rows)
                rows = score.no_rows()
            if progress is not None:
                progress(step)
        scores.write(rows)
        if job.max_errors is None and counts.errors:
            allowed = int(job.max_error_share * counts.images)
            _check(job, errors, counts.errors, allowed)
        if errors["key"]:
            with _table(folder, job.errors_name(shard.index), ERRORS, job) as table:
                table.write(errors)
    return counts


def _answers(job, model, shard):
    """Yields per batch: its images, the outputs of those with an answer, and the rest.

    The rest is a dict, position -> reason.
    """

    def ask(batch):
        wrong = {i: image.error for i, image in enumerate(batch) if image.error}
        positions = [i for i in range(len(batch)) if i not in wrong]
        outputs = {}
        if positions:
            good, outputs, refused = model.answer([batch[i].content for i in positions])
            wrong |= {positions[i]: reason for i, reason in refused.items()}
            if good:
                finite = np.isfinite(outputs[job.info.answer]).all(-1)
                for i in np.array(good)[~finite]:
                    wrong[positions[i]] = "the model's answer is not finite"
                outputs = {name: value[finite] for name, value in outputs.items()}
        return batch, outputs, wrong

    images = shard.source.read()
    waiting = collections.deque()
    pool = concurrent.futures.ThreadPoolExecutor(CALLS)
    try:
        while batch := list(itertools.islice(images, job.settings.batch_size)):
            if len(waiting) == CALLS:
                yield waiting.popleft().result()
            waiting.append(pool.submit(ask, batch))
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        images.close()


class _Scores:
    """Makes the rows of the table of scores."""

    def __init__(self, job):
        self._settings, self._names = job.settings, job.info.class_names
        self.schema = scores_schema(
            job.settings.outputs, job.settings.top_k, self._names is not None
        )

    def no_rows(self):
        return {name: [] for name in self.schema.names}

    def columns(self, images, outputs, wrong):
        if len(images) == len(wrong):
            return self.no_rows()
        columns = {"key": [text(x.key) for i, x in enumerate(images) if i not in wrong]}
        if self._names is not None:
            columns |= self._classes(outputs["class_ids"], outputs["probabilities"])
        for name in self._settings.outputs:
            columns[name] = outputs[name].tolist()
        return columns

    def _classes(self, class_ids, probabilities):
        class_ids = class_ids.tolist()
        columns = {
            "class_id": class_ids,
            "class": [self._names[i] for i in class_ids],
            "probability": probabilities[np.arange(len(class_ids)), class_ids].tolist(),
        }
        if top_k := self._settings.top_k:
            # Of equal ones the first class comes first, as in `class_id`.
            best = np.argsort(-probabilities, axis=-1, kind="stable")[:, :top_k]
            columns["top_class_ids"] = best.tolist()
            columns["top_classes"] = [[self._names[i] for i in row] for row in best]
            columns["top_probabilities"] = np.take_along_axis(
                probabilities, best, -1
            ).tolist()
        return columns


@contextlib.contextmanager
def _table(folder, name, schema, job):
    with folder.writing(name) as file:
        writer = TableWriter(file, schema, job.settings.format)
        try:
            yield writer
        except BaseException:
            # Or it would try to when it is collected.
            with contextlib.suppress(Exception):
                writer.close()
            raise
        writer.close()


def _note(errors, images, wrong):
    for position in sorted(wrong):
        errors["key"].append(text(images[position].key))
        errors["reason"].append(text(wrong[position]))


def _check(job, errors, number, allowed):
    if allowed is not None and number > allowed:
        total = job.plan.num_images or "the"
        raise TooManyErrorsError(
            f"{number} of {total} images cannot be scored, more than "
            f"--max_error_share={job.max_error_share:g} allows. The last one is "
            f"{errors['key'][-1]}: {errors['reason'][-1]}."
        )
