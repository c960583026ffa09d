"""Images per second of what the frontier compares, with untrained weights."""

import functools

import keras
import numpy as np

import keras_concatplexer as kcp
from benchmarks import machine
from benchmarks.accuracy.frontier_rows import trainings
from benchmarks.accuracy.frontier_training import make_vit
from benchmarks.timing import MIN_REPEATS, interleaved_seconds


def measure(names, size, image_shape, num_classes, batch_size, repeats=MIN_REPEATS):
    """Times the inference graphs of trainings in turn; weights do not matter to it.

    On TensorFlow these are the fused graphs that are exported, in float32 and, where
    the processor has it, bfloat16. On JAX they are the models, compiled by XLA.

    Args:
        names: list of str, names of trainings; those of equal graphs are timed once.
        size: a name in `kcp.vit.SIZES`, or a `ViTSize`.
        image_shape: `(height, width, channels)`.
        num_classes: int.
        batch_size: int, images of a request.
        repeats: int, rounds.

    Returns:
        dict for JSON: what was measured, and `images_per_second`, precision ->
        graph -> images/s.
    """
    known = trainings()
    graphs = list(
        dict.fromkeys(row.graph for name in names for row in known[name].rows)
    )
    size = kcp.vit.sizes.get_size(size)
    images = np.random.default_rng(0).normal(size=(batch_size, *image_shape))
    images = images.astype("float32")
    functions, unfused = {}, []
    for graph in graphs:
        training = known[graph]
        vit = make_vit(training.size(size), image_shape, num_classes)
        model = training.wrap(vit)
        for precision in precisions():
            function, fused = _predict(model, precision)
            functions[precision, graph] = functools.partial(function, images)
            if not fused and graph not in unfused:
                unfused.append(graph)
    seconds = interleaved_seconds(functions, repeats)
    rates = {precision: {} for precision in precisions()}
    for (precision, graph), duration in seconds.items():
        rates[precision][graph] = round(batch_size / duration, 1)
    return {
        "machine": machine.description(),
        **compared(size, image_shape),
        "batch_size": batch_size,
        "repeats": repeats,
        "unfused": unfused,
        "images_per_second": rates,
    }


def compared(size, image_shape):
    """What must be alike in speeds and accuracies to stand in one table, a dict."""
    return {
        "backend": keras.backend.backend(),
        "size": vars(kcp.vit.sizes.get_size(size)),
        "image_shape": list(image_shape),
    }


def precisions():
    """Tuple of str: in what an image's way through a model is timed."""
    from savedmodel_export.fused.cpu import multiplies_bfloat16

    if keras.backend.backend() == "tensorflow" and multiplies_bfloat16():
        return ("float32", "bfloat16")
    return ("float32",)


def _predict(model, precision):
    """Returns a function, NumPy images -> logits, and whether its graph is fused."""
    if keras.backend.backend() == "tensorflow":
        return _predict_tensorflow(model, precision)
    if keras.backend.backend() == "jax":
        return _predict_jax(model), False
    raise ValueError(
        "Speed is measured on the TensorFlow and JAX backends. Received: "
        f"backend={keras.backend.backend()!r}"
    )


def _predict_tensorflow(model, precision):
    import tensorflow as tf

    from savedmodel_export.inference import choose_inference

    inference = choose_inference(model, precision=precision)
    function = tf.function(inference.predict)
    return lambda images: function(tf.constant(images)).numpy(), inference.fused


def _predict_jax(model):
    import jax

    @jax.jit
    def stateless(trainable, fixed, images):
        return model.stateless_call(trainable, fixed, images, training=False)[0]

    weights = [
        [variable.value for variable in variables]
        for variables in (model.trainable_variables, model.non_trainable_variables)
    ]
    return lambda images: np.asarray(stateless(*weights, images))
