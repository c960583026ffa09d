"""The names that arguments choose from.

This file imports nothing: a command reads it for its flags before it imports the
library, and with it Keras and TensorFlow.
"""

ATTENTION_SCOPES = ("group", "image")
REDUCERS = ("conv", "mean", "tome", "select")
TRANSFORMS = (
    "gaussian_hadamard",
    "binary_hadamard",
    "random_orthogonal",
    "low_rank_orthogonal",
    "contextual",
    "holographic",
)
DEMULTIPLEXERS = ("index", "key", "mlp", "unbind")
