"""Counts the multiply-accumulates of a Keras model from its traced graph."""

import contextlib
import functools
import math
import re

import keras

from keras_concatplexer.arguments import positive_int
from keras_concatplexer.flops.cost import STAGES, Cost, share

# As a scope around a layer's operations; no library writes names like it, and it
# stays readable where a framework appends a suffix to make the scope unique.
MARK = "kcp-stage.{}."
MARK_PATTERN = re.compile(r"kcp-stage\.(\d+)\.")


def count_function(function, image_shape, batch_size):
    """Counts what one image costs in a TensorFlow function.

    For graphs that are not a Keras model's, such as a fused inference graph: what
    is executed, whatever the model would cost as it was trained.

    Args:
        function: callable, float32 images `(batch_size, *image_shape)` -> a tensor.
        image_shape: `(height, width, channels)`.
        batch_size: int.

    Returns:
        `Cost`, in MACs per image; the one stage is "function".

    Raises:
        ValueError: for what `count` cannot count either.
    """
    import tensorflow as tf

    from keras_concatplexer.flops.trace_tensorflow import graph_macs

    spec = tf.TensorSpec((batch_size, *image_shape), tf.float32)
    graph = tf.function(function, autograph=False).get_concrete_function(spec).graph
    macs = graph_macs(graph, "function", lambda name, stage: stage)
    return Cost({name: share(total, batch_size) for name, total in macs.items()})


def count(model: keras.Model, batch_size: int | None = None) -> Cost:
    """Counts what one image costs, from the model's traced inference graph.

    Counted are matrix products, tensor contractions and convolutions, whatever
    layer they come from; a convolution's border counts in full, elementwise
    operations and Fourier transforms do not count. Where an operation's result is
    shared by the batch, such as a product of two weights, each image bears its part.

    Args:
        model: `keras.Model` with known inputs (functional, sequential, or one of
            this package). On the TensorFlow backend also a function of no
            arguments that builds one: it is then built inside a throw-away
            graph, where no weight takes memory or time; it must not load any.
        batch_size: int. Images in the traced batch. By default the batch size of
            the model's input if that is fixed, else the smallest batch whose
            groups are full: `num_mux` for a multiplexed model, 1 for another.

    Returns:
        `Cost`, in MACs per image. Stages of a multiplexed model and of a ViT of
        `keras_concatplexer.vit` are embedding, patchifier, multiplexer, backbone,
        demultiplexer and head (all blocks of a ViT are its backbone); those of
        another model are the names of its top-level layers that cost anything,
        and "model" for what stands between them.

    Raises:
        TypeError: if `model` is not a Keras model.
        ValueError: if the model's input shapes are unknown, the batch size is not
            what the model takes, or the graph holds what cannot be counted: a
            loop with products and no fixed number of rounds, a branch whose
            sides cost differently, an opaque operation, an unknown shape, a
            convolution that is depthwise, transposed or not two-dimensional.
        NotImplementedError: on another backend than TensorFlow and JAX.

    Example:

    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    >>> count(model).macs_per_image
    32
    """
    if isinstance(model, keras.Model) or not callable(model):
        return _count_built(model, batch_size)
    if keras.backend.backend() != "tensorflow":
        return _count_built(model(), batch_size)
    from keras_concatplexer.flops import trace_tensorflow

    with trace_tensorflow.weightless():
        return _count_built(model(), batch_size)


def _count_built(model, batch_size):
    if not isinstance(model, keras.Model):
        raise TypeError(
            "`model` must be a `keras.Model` or a function that builds one. "
            f"Received: {model!r} of type {type(model).__name__}"
        )
    tracer = _tracer()
    batch_size = _batch_size(model, batch_size)
    inputs = _input_specs(model, batch_size)
    stages, marked, otherwise = _stages(model)
    names = list(dict.fromkeys([*stages, *(stage for _, stage in marked), otherwise]))
    with _marks(marked, names, tracer.scope):
        totals = tracer.macs(model, inputs, names.index(otherwise), _stage_in)
    per_image = {
        name: share(totals[index], batch_size) for index, name in enumerate(names)
    }
    if not stages:
        per_image = {name: macs for name, macs in per_image.items() if macs}
    return Cost(per_image or {otherwise: 0})


def _tracer():
    backend = keras.backend.backend()
    if backend == "tensorflow":
        from keras_concatplexer.flops import trace_tensorflow

        return trace_tensorflow
    if backend == "jax":
        from keras_concatplexer.flops import trace_jax

        return trace_jax
    raise NotImplementedError(
        "`count` reads graphs of the TensorFlow and JAX backends. "
        f"Received: backend={backend!r}"
    )


def _batch_size(model, batch_size):
    if not getattr(model, "inputs", None):
        raise ValueError(
            "The model's input shapes must be known. Build it as a functional model, "
            f"or begin it with `keras.Input`. Received: {model!r}"
        )
    fixed = {tensor.shape[0] for tensor in model.inputs} - {None}
    if batch_size is not None:
        positive_int("batch_size", batch_size)
        if fixed - {batch_size}:
            raise ValueError(
                f"The model takes batches of {sorted(fixed)} only. Received: "
                f"batch_size={batch_size}"
            )
        return batch_size
    if fixed:
        return max(fixed)
    # A multiplexed model tells its images per group, or several such numbers.
    return math.lcm(*getattr(model, "by_num_mux", (1,)))


def _input_specs(model, batch_size):
    """The model's inputs as `(shape, dtype)`, one, or a list of them."""
    specs = []
    for tensor in model.inputs:
        shape = (batch_size, *tensor.shape[1:])
        if None in shape:
            raise ValueError(
                "Every dimension of the input but the batch must be fixed. "
                f"Received: input {tensor.name!r} of shape={tuple(tensor.shape)}"
            )
        specs.append((shape, keras.backend.standardize_dtype(tensor.dtype)))
    return specs[0] if len(specs) == 1 else specs


def _stages(model):
    """Which layer belongs to which stage.

    Returns:
        Tuple of the stages that are always told, pairs of a layer and its stage,
        and the stage of everything outside those layers.
    """
    # What the models of this package tell; this package does not import them.
    stages = getattr(model, "layer_stages", None)
    if stages is None:
        return (), [(layer, layer.name) for layer in model.layers], "model"
    layers = [(model.get_layer(name), stage) for name, stage in stages.items()]
    return STAGES, layers, "head"


@contextlib.contextmanager
def _marks(layers, names, scope):
    """Opens a named scope around every call of each layer, while inside.

    The scopes that Keras opens carry layer names too, but with suffixes: `block_1`
    may be the layer of that name or the second call of `block`.
    """
    before = [(layer, vars(layer).get("call")) for layer, _ in layers]
    try:
        for layer, stage in layers:
            mark = MARK.format(names.index(stage))
            vars(layer)["call"] = _in_scope(layer.call, scope, mark)
        yield
    finally:
        for layer, call in before:
            if call is None:
                vars(layer).pop("call", None)
            else:
                vars(layer)["call"] = call


def _in_scope(function, scope, mark):
    @functools.wraps(function)
    def scoped(*args, **kwargs):
        with scope(mark):
            return function(*args, **kwargs)

    return scoped


def _stage_in(scope_name, otherwise):
    """The index of the innermost mark in a scope's name, or `otherwise`."""
    found = MARK_PATTERN.findall(scope_name)
    return int(found[-1]) if found else otherwise
