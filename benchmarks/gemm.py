"""How fast this machine's matrix products are: the limit of any ViT on it."""

# The larger product of ViT-B/16's MLP at batch 8: rows, inner, columns. How fast this
# machine computes it is the limit of any ViT on it.
GEMM_SHAPE = (8 * 197, 768, 3072)
GEMM_FLOPS = 2 * 8 * 197 * 768 * 3072
# Random normal numbers lie within it.
INT8_RANGE = 5.0


def gemm_function(precision):
    """Returns a function that computes one product of `GEMM_SHAPE` and waits for it."""
    import tensorflow as tf

    rows, inner, columns = GEMM_SHAPE
    left = tf.random.stateless_normal((rows, inner), (0, 0))
    right = tf.random.stateless_normal((inner, columns), (0, 1))
    if precision == "int8":
        left, right = (_to_qint8(values) for values in (left, right))
        product = tf.function(lambda left: _int8_product(left, right))
        # Traced once: the packed weights are kept from the first call on.
        concrete = product.get_concrete_function(left)
        return lambda: concrete(left)
    left, right = tf.cast(left, precision), tf.cast(right, precision)
    product = tf.function(tf.matmul)
    # An eager tensor is computed when its function returns, on the CPU.
    return lambda: product(left, right)


def _to_qint8(values):
    import tensorflow as tf

    limits = (-INT8_RANGE, INT8_RANGE)
    return tf.quantization.quantize(
        values, *limits, tf.qint8, "SCALED", "HALF_TO_EVEN", narrow_range=True
    ).output


def _int8_product(left, right):
    """One product of oneDNN's int8 kernel, with a bias, float32 out."""
    import tensorflow as tf

    graph = tf.compat.v1.get_default_graph()
    limits = [tf.constant(limit) for limit in (-INT8_RANGE, INT8_RANGE)]
    bias = tf.zeros(right.shape[-1])
    types = {
        "Tdevice_inputs": [tf.qint8, tf.qint8, tf.float32],
        "Thost_inputs": [tf.float32] * 4,
        "Tdevice_outputs": [tf.float32],
        "Thost_outputs": [],
    }
    scalars = {
        "T1": tf.qint8,
        "T2": tf.qint8,
        "Tbias": tf.float32,
        "U": tf.float32,
        "Tout": tf.float32,
    }
    attributes = {
        **{name: _attribute(list=_types(found)) for name, found in types.items()},
        **{name: _attribute(type=t.as_datatype_enum) for name, t in scalars.items()},
        **{name: _attribute(b=False) for name in ("transpose_a", "transpose_b")},
        **{name: _attribute(b=True) for name in ("is_weight_const", "is_bias_const")},
        "fused_ops": _attribute(
            list=tf.compat.v1.AttrValue.ListValue(s=[b"BiasAdd", b"Dequantize"])
        ),
        "input_quant_mode": _attribute(s=b"SCALED"),
        "output_quant_mode": _attribute(s=b"SCALED"),
    }
    operation = graph._create_op_internal(
        "_QuantizedMatMul",
        [left, tf.convert_to_tensor(right), bias, *limits, *limits],
        [tf.float32],
        attrs=attributes,
        name="product",
    )
    return operation.outputs[0]


def _attribute(**value):
    import tensorflow as tf

    return tf.compat.v1.AttrValue(**value)


def _types(found):
    import tensorflow as tf

    enums = [dtype.as_datatype_enum for dtype in found]
    return tf.compat.v1.AttrValue.ListValue(type=enums)
