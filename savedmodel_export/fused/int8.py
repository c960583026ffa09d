"""Matrix products in int8, by the oneDNN kernel that stock TensorFlow holds.

Symmetric: a value is a whole number of steps, -127 to 127, of `maximum / 127`. Weights
have one step per output channel, inputs one in all, fixed beforehand by calibration:
the answer to a row does not depend on the rows beside it.
"""

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.attr_value_pb2 import AttrValue

STEPS = 127
KERNEL = "_QuantizedMatMul"
GELUS = {"GeluApproximate": True, "GeluExact": False}


def steps_of(values, maxima):
    """Returns float array, `values` as whole numbers of steps; beyond, the last."""
    return np.clip(np.round(values * (STEPS / maxima)), -STEPS, STEPS)


def kernel_maxima(kernel):
    """Returns the largest size in each column, 1 for a column of zeros."""
    maxima = np.abs(kernel).max(0)
    return np.where(maxima > 0, maxima, 1).astype("float32")


class Int8Dense(tf.Module):
    """A `FusedDense` whose product is made of int8.

    Args:
        dense: `FusedDense` in float32.
        maximum: float. The largest size of an input that int8 can tell.
        output_maximum: float or `None`. The same of the outputs, which then are
            quantized (qint8) for the product that follows.
        output_dtype: `tf.DType` of the outputs that are not: bfloat16 or float32.

    Call arguments:
        inputs: `(rows, width)`, of a float type, or qint8 with this `maximum`.
    """

    def __init__(self, dense, maximum, output_maximum=None, output_dtype=tf.bfloat16):
        super().__init__(name=dense.name)
        kernel = dense.kernel.numpy()
        self._kernel_maxima = kernel_maxima(kernel)
        self._maximum, self._output_maximum = maximum, output_maximum
        self.output_dtype = output_dtype
        steps = steps_of(kernel, self._kernel_maxima).astype("int8")
        self.kernel = tf.Variable(steps, trainable=False, name="kernel")
        self.bias = tf.Variable(dense.bias, trainable=False, name="bias")
        self._gelu = _kernels_gelu(dense.activation)
        # What the kernel does not know follows it; no int8 can come out then.
        self._activation = dense.activation if self._gelu is None else None
        if self._activation is not None:
            self._output_maximum = None

    def __call__(self, inputs):
        if inputs.dtype != tf.qint8:
            inputs = _quantized(inputs, self._maximum)
        fused = ["BiasAdd", *([self._gelu] if self._gelu else [])]
        maxima = [self._maximum, self._kernel_maxima]
        if self._output_maximum is None:
            fused, dtype = [*fused, "Dequantize"], self.output_dtype
        else:
            fused, dtype = [*fused, "Requantize"], tf.qint8
            maxima.append(self._output_maximum)
        kernel = tf.bitcast(self.kernel, tf.qint8)
        outputs = _product(inputs, kernel, self.bias, maxima, fused, dtype)
        return outputs if self._activation is None else self._activation(outputs)


def _quantized(inputs, maximum):
    return tf.raw_ops.QuantizeV2(
        input=tf.cast(inputs, tf.float32),
        min_range=-maximum,
        max_range=maximum,
        T=tf.qint8,
        mode="SCALED",
        round_mode="HALF_TO_EVEN",
        narrow_range=True,
    ).output


def _product(inputs, kernel, bias, maxima, fused, dtype):
    """Adds the kernel to the graph: it has no function in `tf.raw_ops`."""
    on_device = [inputs, kernel, tf.convert_to_tensor(bias)]
    on_host = [
        tf.constant(sign * np.float32(maximum))
        for maximum in maxima
        for sign in (-1, 1)
    ]
    ranges_out = [tf.float32] * (2 if dtype == tf.qint8 else 0)
    attributes = {
        "Tdevice_inputs": _types([tensor.dtype for tensor in on_device]),
        "Thost_inputs": _types([tf.float32] * len(on_host)),
        "Tdevice_outputs": _types([dtype]),
        "Thost_outputs": _types(ranges_out),
        "T1": _type(tf.qint8),
        "T2": _type(tf.qint8),
        "Tbias": _type(tf.float32),
        "U": _type(tf.float32),
        "Tout": _type(dtype),
        "transpose_a": AttrValue(b=False),
        "transpose_b": AttrValue(b=False),
        # Else the kernel packs the weights anew in each call, in seconds.
        "is_weight_const": AttrValue(b=True),
        "is_bias_const": AttrValue(b=True),
        "fused_ops": AttrValue(
            list=AttrValue.ListValue(s=[name.encode() for name in fused])
        ),
        "input_quant_mode": AttrValue(s=b"SCALED"),
        "output_quant_mode": AttrValue(s=b"SCALED"),
    }
    operation = tf.compat.v1.get_default_graph()._create_op_internal(
        KERNEL,
        [*on_device, *on_host],
        [dtype, *ranges_out],
        attrs=attributes,
        name="quantized_matmul",
    )
    outputs = operation.outputs[0]
    outputs.set_shape((inputs.shape[0], kernel.shape[1]))
    return outputs


def _type(dtype):
    return AttrValue(type=dtype.as_datatype_enum)


def _types(dtypes):
    types = [dtype.as_datatype_enum for dtype in dtypes]
    return AttrValue(list=AttrValue.ListValue(type=types))


def _kernels_gelu(activation):
    """Returns the kernel's name of a GELU, told by its values; `None`: no GELU."""
    if activation is None:
        return None
    points = tf.linspace(-4.0, 4.0, 33)
    values = np.asarray(activation(points))
    for name, approximate in GELUS.items():
        gelu = tf.nn.gelu(points, approximate=approximate)
        if np.abs(values - gelu).max() < 1e-5:
            return name
    return None


class SwitchedDense(tf.Module):
    """A product in int8 or as it was, by a variable: to measure without new traces.

    Args:
        int8: `Int8Dense` with float outputs.
        other: `FusedDense` in bfloat16.
    """

    def __init__(self, int8, other):
        super().__init__(name=int8.name)
        self.int8, self.other = int8, other
        self.is_int8 = tf.Variable(True, trainable=False)

    def __call__(self, inputs):
        outputs = tf.cond(
            self.is_int8,
            lambda: self.int8(inputs),
            lambda: tf.cast(self.other(inputs), self.int8.output_dtype),
        )
        return tf.ensure_shape(outputs, (None, self.other.kernel.shape[1]))
