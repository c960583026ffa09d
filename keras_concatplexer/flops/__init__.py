"""What a prediction costs, in multiply-accumulates.

One multiply-accumulate (MAC) is two floating-point operations (FLOPs). Much of the
literature writes "GFLOPs" where it counts MACs; everything here says which.

Counted are the matrix products and convolutions of a traced graph. Normalisations,
additions and activations are left out, as is usual.
"""

from keras_concatplexer.flops.cost import Cost
from keras_concatplexer.flops.counting import count, count_function

__all__ = ["Cost", "count", "count_function"]
