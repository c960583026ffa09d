"""How fast this machine's matrix products are: the limit of any ViT on it."""

# The larger product of ViT-B/16's MLP at batch 8: rows, inner, columns.
GEMM_SHAPE = (8 * 197, 768, 3072)


def gemm_function(dtype):
    """Returns a function that computes one large matrix product."""
    import tensorflow as tf

    rows, inner, columns = GEMM_SHAPE
    left = tf.cast(tf.random.stateless_normal((rows, inner), (0, 0)), dtype)
    right = tf.cast(tf.random.stateless_normal((inner, columns), (0, 1)), dtype)
    product = tf.function(tf.matmul)
    # An eager tensor is computed when its function returns, on the CPU.
    return lambda: product(left, right)


def gemm_flops():
    """Floating-point operations of one such product."""
    rows, inner, columns = GEMM_SHAPE
    return 2 * rows * inner * columns
