"""What a prediction costs, in multiply-accumulates.

One multiply-accumulate (MAC) is two floating-point operations (FLOPs). Much of the
literature writes "GFLOPs" where it counts MACs; everything here says which.

`count` reads the cost off the traced graph of any Keras classifier; `formula` and
the `*_cost` functions compute it from the sizes alone. Both count matrix products
and convolutions and leave out normalisations, additions and activations, as is
usual.
"""

from keras_concatplexer.flops.closed_form import (
    concat_cost,
    formula,
    vit_cost,
)
from keras_concatplexer.flops.cost import Cost
from keras_concatplexer.flops.counting import count, count_function
from keras_concatplexer.flops.image_multiplexer import image_multiplexer_cost
from keras_concatplexer.flops.vit_shape import block_macs

__all__ = [
    "Cost",
    "block_macs",
    "concat_cost",
    "count",
    "count_function",
    "formula",
    "image_multiplexer_cost",
    "vit_cost",
]
