"""The moving average of the weights, in place of the weights for a while."""

import contextlib

import keras


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
