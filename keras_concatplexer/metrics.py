"""Accuracy by the slot that an image has in its group."""

import keras
from keras import ops

from keras_concatplexer.arguments import positive_int


@keras.saving.register_keras_serializable(package="keras_concatplexer")
class SlotAccuracy(keras.metrics.Metric):
    """Accuracy of the images in each slot of their groups, or in one slot.

    An image's slot is its row in the batch modulo `num_mux`, as in the multiplexed
    models. Slots that differ tell that the multiplexer favours some of them.

    Args:
        num_mux: int. Images per sequence.
        slot: int from 0 to `num_mux - 1`: the result is that slot's accuracy, a
            scalar. `None`: the result is a dict, one accuracy per slot, with the
            keys `<name>_0`, `<name>_1` and so on; Keras logs them side by side, so
            that a callback can monitor `"val_slot_accuracy_1"`.
        name: str. Give each `SlotAccuracy` of a model its own: Keras does not tell
            apart the entries of two dicts.
        dtype: dtype or policy of the sums.

    Call arguments of `update_state`:
        y_true: integer labels `(batch_size,)` or `(batch_size, 1)`, or rows of one
            value per class `(batch_size, num_classes)`, the greatest of them true.
        y_pred: logits or probabilities `(batch_size, num_classes)`.
        sample_weight: `(batch_size,)` or `(batch_size, 1)`, or `None` for 1 each.
            An image with weight 0, such as filler, does not count. Keras passes
            weights to `weighted_metrics` only.

    A slot without any weight has accuracy 0.

    Raises:
        ValueError: if `num_mux` is not a positive integer, `slot` is none of its
            slots, or the predictions are not a matrix.

    Example:

    >>> metric = SlotAccuracy(num_mux=2)
    >>> metric.update_state([0, 1, 1], [[9.0, 1.0], [9.0, 1.0], [1.0, 9.0]])
    >>> {name: float(value) for name, value in metric.result().items()}
    {'slot_accuracy_0': 1.0, 'slot_accuracy_1': 0.0}
    """

    def __init__(
        self,
        num_mux: int,
        slot: int | None = None,
        name: str = "slot_accuracy",
        dtype: str | None = None,
    ):
        super().__init__(name=name, dtype=dtype)
        self.num_mux = positive_int("num_mux", num_mux)
        if slot is not None and slot not in range(num_mux):
            raise ValueError(
                f"`slot` must be `None` or an integer from 0 to {num_mux - 1}. "
                f"Received: slot={slot!r}"
            )
        self.slot = slot
        self.correct = self.add_weight(
            shape=(num_mux,), initializer="zeros", name="correct"
        )
        self.seen = self.add_weight(shape=(num_mux,), initializer="zeros", name="seen")

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        if len(y_pred.shape) != 2:
            raise ValueError(
                "Predictions must have the shape (batch_size, num_classes). "
                f"Received: shape={tuple(y_pred.shape)}"
            )
        labels = _labels(y_true, y_pred.shape[-1])
        hits = ops.cast(
            ops.equal(labels, ops.cast(ops.argmax(y_pred, axis=-1), "int32")),
            self.dtype,
        )
        if sample_weight is None:
            weights = ops.ones_like(hits)
        else:
            weights = ops.cast(ops.convert_to_tensor(sample_weight), self.dtype)
            # (), (B,) or (B, 1) -> (B,)
            weights = ops.reshape(weights, (-1,)) * ops.ones_like(hits)
        slots = ops.arange(ops.shape(y_pred)[0]) % self.num_mux
        # (B,) -> (B, N): each image's weight in its slot's column
        weights = weights[:, None] * ops.one_hot(slots, self.num_mux, dtype=self.dtype)
        self.correct.assign_add(ops.sum(weights * hits[:, None], axis=0))
        self.seen.assign_add(ops.sum(weights, axis=0))

    def result(self):
        accuracy = ops.divide_no_nan(self.correct, self.seen)
        if self.slot is not None:
            return accuracy[self.slot]
        return {f"{self.name}_{slot}": accuracy[slot] for slot in range(self.num_mux)}

    def get_config(self):
        return {**super().get_config(), "num_mux": self.num_mux, "slot": self.slot}


def _labels(y_true, num_classes):
    """Integer labels `(batch_size,)` of either form of `y_true`."""
    if len(y_true.shape) == 2 and y_true.shape[-1] == num_classes and num_classes > 1:
        y_true = ops.argmax(y_true, axis=-1)
    return ops.cast(ops.reshape(y_true, (-1,)), "int32")
