"""Runs the float32 graph on images and chooses int8's scales and ranges from it."""

import dataclasses
import sys

import numpy as np
import tensorflow as tf

from savedmodel_export.fused.ranges import choose

BATCH_SIZE = 16
SAMPLE_ROWS = 512
# The products of a block behind its projections to queries, keys and values.
BEHIND = ("attention_out", "mlp_in", "mlp_out")


class RecordedDense:
    """A product that keeps what it sees of its inputs. Runs eagerly.

    Args:
        dense: `FusedDense`.
        rows_per_call: int. Rows that are kept of each call, chosen at random.

    Attributes:
        channel_maxima: float array, the largest size seen in each channel.
    """

    def __init__(self, dense, rows_per_call):
        self.dense = dense
        self._rows_per_call = rows_per_call
        self._rng = np.random.default_rng(0)
        self._rows = []
        self.channel_maxima = 0.0

    def __call__(self, inputs):
        rows = inputs.numpy()
        if not np.isfinite(rows).all():
            raise ValueError(
                f"The inputs of the product {self.dense.name} are not finite on the "
                "calibration images: the model's weights or the images hold NaN or "
                "infinity."
            )
        self.channel_maxima = np.maximum(self.channel_maxima, np.abs(rows).max(0))
        kept = self._rng.permutation(len(rows))[: self._rows_per_call]
        self._rows.append(rows[kept])
        return self.dense(inputs)

    @property
    def rows(self):
        """Float array, the rows that were kept."""
        return np.concatenate(self._rows)


@dataclasses.dataclass(frozen=True)
class Range:
    """How the inputs of one product become int8.

    Attributes:
        maximum: float, their largest size; 0 if all were 0.
        error: float, squared error of the product over its squared size.
    """

    maximum: float
    error: float


def calibrate(classifiers, images):
    """Chooses scales and ranges for all products of the blocks.

    The scales are folded into the float32 blocks: norms and value projections in
    front, weights behind. These answer as before.

    Args:
        classifiers: list of float32 `FusedClassifier`s that share their blocks.
        images: float array, preprocessed.

    Returns:
        list with, for each block, dict, name of a product -> `Range`.
    """
    blocks = classifiers[0].blocks
    num_calls = len(classifiers) * -(-len(images) // BATCH_SIZE)
    recorded = [_record(block, -(-SAMPLE_ROWS // num_calls)) for block in blocks]
    for classifier in classifiers:
        starts = range(0, len(images), BATCH_SIZE)
        for start in progress(starts, "calibration: ranges, batch"):
            classifier(tf.constant(images[start : start + BATCH_SIZE]))
    ranges = []
    for block, records in zip(blocks, recorded, strict=True):
        for name, record in records.items():
            setattr(block, name, record.dense)
    numbered = list(zip(blocks, recorded, strict=True))
    for block, records in progress(numbered, "calibration: scales, block"):
        ranges.append(_choose_for_block(block, records))
    return ranges


def progress(items, what):
    """Yields the items, with a line on the standard error that counts them.

    Without a terminal the line tells their number alone.
    """
    if not sys.stderr.isatty():
        print(f"{what} 1 to {len(items)}", file=sys.stderr)
        yield from items
        return
    for index, item in enumerate(items, 1):
        print(f"\r{what} {index}/{len(items)}", end="", file=sys.stderr, flush=True)
        yield item
    print(file=sys.stderr)


def _record(block, rows_per_call):
    records = {
        name: RecordedDense(getattr(block, name), rows_per_call)
        for name in block.products
    }
    for name, record in records.items():
        setattr(block, name, record)
    return records


def _choose_for_block(block, records):
    # Each step scales weights of the step before: those ranges stay true, because
    # the weights have one per output channel.
    projections = [name for name in block.products if name not in BEHIND]
    ranges = {}
    scales = _choose_into(ranges, records, projections, can_scale=True)
    _scale_norm(block.norm1, scales)
    scales = _choose_into(ranges, records, ["attention_out"], can_scale=True)
    values = records[projections[-1]].dense
    for variable in (values.kernel, values.bias):
        variable.assign(_with_scaled_end(variable.numpy(), scales))
    scales = _choose_into(ranges, records, ["mlp_in"], can_scale=True)
    _scale_norm(block.norm2, scales)
    _choose_into(ranges, records, ["mlp_out"], can_scale=False)
    return ranges


def _choose_into(ranges, records, names, can_scale):
    """Chooses for products of the same inputs; returns the scales of these."""
    chosen = [records[name] for name in names]
    maxima = np.max([record.channel_maxima for record in chosen], axis=0)
    if not maxima.any():
        ranges.update({name: Range(0.0, 0.0) for name in names})
        return np.ones_like(maxima)
    kernel = np.concatenate([record.dense.kernel.numpy() for record in chosen], axis=1)
    rows = np.concatenate([record.rows for record in chosen])
    scales, maximum, error = choose(rows, maxima, kernel, can_scale)
    for record in chosen:
        record.dense.kernel.assign(record.dense.kernel * scales[:, np.newaxis])
    ranges.update({name: Range(maximum, error) for name in names})
    return scales


def _scale_norm(norm, scales):
    norm.gamma.assign(norm.gamma / scales)
    norm.beta.assign(norm.beta / scales)


def _with_scaled_end(array, scales):
    """The last columns, those of the values, divided by the scales."""
    array = array.copy()
    array[..., -len(scales) :] /= scales
    return array
