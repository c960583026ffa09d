"""Scores of a model, one row for each N of an elastic one."""

import contextlib

import keras

import keras_concatplexer as kcp

from .strategy import sharded_by_rows


class Evaluation:
    """Evaluates a model at each of its N, under a strategy.

    Args:
        model: the model.
        strategy: `tf.distribute.Strategy`.
        objective: of the run; see `make_objective`.
        loss: `keras.losses.Loss`.
    """

    def __init__(self, model, strategy, objective, loss):
        self._models = {}
        with strategy.scope():
            for num_mux, single in kcp.models.by_num_mux(model).items():
                single = objective.evaluated(single)
                single.compile(
                    optimizer=None,
                    loss=loss,
                    weighted_metrics=objective.metrics(num_mux),
                )
                self._models[num_mux] = single

    def scores(self, batches):
        """Returns dict, N -> dict of loss and accuracies, N in the model's order."""
        return {
            num_mux: single.evaluate(
                sharded_by_rows(batches), return_dict=True, verbose=0
            )
            for num_mux, single in self._models.items()
        }


class ElasticValidation(keras.callbacks.Callback):
    """Adds the validation scores of an elastic model at each N to the logs.

    `val_loss_n2`, `val_accuracy_n2`, `val_slot_accuracy_1_n2` and so on; `val_loss`
    and `val_accuracy`, or `val_cosine`, are the means over the N, so that the best
    epoch is best for all of them.

    Args:
        evaluation: `Evaluation` of the model.
        batches: the validation data.
        score: str, the objective's.
    """

    def __init__(self, evaluation, batches, score):
        super().__init__()
        self.evaluation, self.batches, self.score = evaluation, batches, score

    def on_epoch_end(self, epoch, logs=None):
        with averaged_weights(self.model):
            scores = self.evaluation.scores(self.batches)
        for num_mux, row in scores.items():
            for name, value in row.items():
                logs[f"val_{name}_n{num_mux}"] = value
        for name in ("loss", self.score):
            logs[f"val_{name}"] = sum(row[name] for row in scores.values()) / len(
                scores
            )


@contextlib.contextmanager
def averaged_weights(model):
    """Inside, a model trained with `use_ema` has the average of its weights."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    if not optimizer.use_ema:
        yield
        return
    average = keras.callbacks.SwapEMAWeights()
    average.set_model(model)
    average.on_test_begin()
    try:
        yield
    finally:
        average.on_test_end()
