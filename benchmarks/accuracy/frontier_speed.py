"""Images per second of the rows of a frontier, as their exports compute."""

import functools

import numpy as np
import tensorflow as tf

import keras_concatplexer as kcp
from benchmarks import machine
from benchmarks.timing import MIN_REPEATS, interleaved_seconds
from savedmodel_export.choices import INT8, PRECISIONS
from savedmodel_export.inference import infer_at_each

ALL_PRECISIONS = (*PRECISIONS, INT8)


def measure(models, batch_size, calibration, repeats=MIN_REPEATS):
    """Times the inference graphs of trained models in turn, in every precision.

    Args:
        models: dict, name of a row -> trained model and its N.
        batch_size: int, images of a request.
        calibration: preprocessed images for int8, which what is not fused goes
            without.
        repeats: int, rounds.

    Returns:
        dict for JSON: what was measured, and `images_per_second`, precision -> name
        -> images/s.
    """
    functions, unfused, without_int8 = {}, [], {}
    for name, (model, num_mux) in models.items():
        single = kcp.models.by_num_mux(model)[num_mux]
        shape = (batch_size, *model.input_shape[1:])
        images = np.random.default_rng(0).normal(size=shape).astype("float32")
        for precision in ALL_PRECISIONS:
            if precision == INT8 and name in unfused:
                continue
            try:
                (inference,) = infer_at_each(
                    {num_mux: single}, precision=precision, calibration=calibration
                ).values()
            except ValueError as error:
                if precision != INT8:
                    raise
                # Such as a model that answers otherwise in int8: no one serves it so.
                without_int8[name] = str(error)
                continue
            function = tf.function(inference.predict)
            functions[precision, name] = functools.partial(_call, function, images)
            if not inference.fused and name not in unfused:
                unfused.append(name)
    seconds = interleaved_seconds(functions, repeats)
    rates = {precision: {} for precision in ALL_PRECISIONS}
    for (precision, name), duration in seconds.items():
        rates[precision][name] = round(batch_size / duration, 1)
    return {
        "machine": machine.description(),
        "batch_size": batch_size,
        "repeats": repeats,
        "unfused": unfused,
        "without_int8": without_int8,
        "images_per_second": rates,
    }


def _call(function, images):
    return function(tf.constant(images)).numpy()
