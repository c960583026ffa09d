"""Checks of the count on the JAX backend; `tests/integration/test_jax.py` runs it."""

import sys

import jax
import keras
from jax import numpy as jnp

from keras_concatplexer.flops import count, trace_jax


class Repeated(keras.layers.Layer):
    """Multiplies by one matrix again and again, in a loop of some kind."""

    def __init__(self, loop, **kwargs):
        super().__init__(**kwargs)
        self.loop = loop

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], input_shape[-1]))

    def call(self, inputs):
        def step(tokens, _=None):
            return tokens @ self.kernel.value, None

        if self.loop == "scan":
            return jax.lax.scan(step, inputs, length=3)[0]
        if self.loop == "while":
            return jax.lax.while_loop(
                lambda tokens: jnp.max(tokens) < 1, lambda t: step(t)[0], inputs
            )
        if self.loop == "remat":
            return jax.jit(jax.checkpoint(lambda tokens: step(tokens)[0]))(inputs)
        other = (lambda t: step(t)[0]) if self.loop == "equal" else (lambda t: t)
        return jax.lax.cond(jnp.max(inputs) < 1, lambda t: step(t)[0], other, inputs)


def one_layer(loop):
    return keras.Sequential([keras.Input((5, 4)), Repeated(loop, name="repeated")])


def refused(loop):
    try:
        count(one_layer(loop))
    except ValueError as error:
        return str(error)
    return None


inputs = keras.Input((8, 8, 6))
hidden = keras.layers.Conv2D(4, 3, padding="same", name="full")(inputs)
hidden = keras.layers.Conv2D(6, 3, groups=2, strides=2, name="grouped")(hidden)
hidden = keras.layers.Reshape((9, 6))(hidden)
attention = keras.layers.MultiHeadAttention(2, key_dim=4, name="attention")
hidden = attention(hidden, hidden)
outputs = keras.ops.einsum("bld,bmd->blm", hidden, hidden)
expected = {
    "full": 64 * 9 * 6 * 4,
    "grouped": 9 * 9 * 2 * 6,
    # 9 tokens of width 6, 2 heads of 4.
    "attention": 4 * 9 * 6 * 8 + 2 * 9 * 9 * 8,
    "model": 9 * 9 * 6,
}
model = keras.Model(inputs, outputs)
for batch_size in (1, 3):
    received = count(model, batch_size).stages
    if received != expected:
        sys.exit(f"expected {expected}, received {received}")
if count(lambda: model).stages != expected:
    sys.exit("a function that builds the model counts otherwise")
for loop, rounds in (("scan", 3), ("equal", 1), ("remat", 1)):
    if count(one_layer(loop)).stages != {"repeated": rounds * 5 * 4 * 4}:
        sys.exit(f"{loop}: received {count(one_layer(loop)).stages}")
if "number of rounds" not in (refused("while") or ""):
    sys.exit("a `while` loop was counted")
if "branches" not in (refused("unequal") or ""):
    sys.exit("branches of unequal cost were counted")
for layer in (keras.layers.DepthwiseConv2D(3), keras.layers.Conv2DTranspose(5, 2, 2)):
    try:
        count(keras.Sequential([keras.Input((8, 8, 6)), layer]), 2)
        sys.exit(f"{layer.name} was counted")
    except ValueError as error:
        if "Cannot tell what a convolution costs" not in str(error):
            raise
callback = jax.make_jaxpr(
    lambda x: jax.pure_callback(lambda y: y, jax.ShapeDtypeStruct((), "float32"), x)
)
try:
    trace_jax.program_macs(callback(1.0).jaxpr, 0, lambda name, stage: stage)
    sys.exit("a callback was counted")
except ValueError:
    pass
if {"tensorflow", "keras_cv"} & set(sys.modules):
    sys.exit("TensorFlow was imported")
