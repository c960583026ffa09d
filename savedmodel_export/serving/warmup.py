"""Requests that the server runs before a version takes traffic."""

import pathlib

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from savedmodel_export.signatures import input_spec

FILE_NAME = "assets.extra/tf_serving_warmup_requests"
MAX_RECORDS = 1000


def write_warmup(folder, signatures, batch_sizes):
    """Writes one record per signature and batch size.

    Args:
        folder: path of the version.
        signatures: dict, name -> concrete function.
        batch_sizes: sequence of int.

    Raises:
        ValueError: if there are more than the server takes.
    """
    records = [
        _record(name, function, size)
        for name, function in signatures.items()
        for size in batch_sizes
    ]
    if len(records) > MAX_RECORDS:
        raise ValueError(
            f"The server takes at most {MAX_RECORDS} warmup records. Received: "
            f"{len(signatures)} signatures and {len(batch_sizes)} batch sizes"
        )
    path = pathlib.Path(folder) / FILE_NAME
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record.SerializeToString())


def _record(name, function, batch_size):
    log = prediction_log_pb2.PredictionLog()
    spec = input_spec(function)
    if name == "classify":
        request = log.classify_log.request
        image = _png()
        for _ in range(batch_size):
            example = request.input.example_list.examples.add()
            example.features.feature["image/encoded"].bytes_list.value.append(image)
    else:
        request = log.predict_log.request
        request.inputs[spec.name].CopyFrom(_tensor(spec, batch_size))
    # The server puts its own name of the model in place of an empty one.
    request.model_spec.signature_name = name
    return log


def _tensor(spec, batch_size):
    """A TensorProto with one value, which stands for all of them."""
    shape = tf.TensorShape((batch_size, *spec.shape[1:])).as_proto()
    tensor = tf.make_tensor_proto([]).__class__(
        dtype=spec.dtype.as_datatype_enum, tensor_shape=shape
    )
    if spec.dtype == tf.string:
        tensor.string_val.append(_png())
    elif spec.dtype.is_floating:
        tensor.float_val.append(127.0)
    else:
        tensor.int_val.append(127)
    return tensor


def _png():
    return tf.io.encode_png(np.full((8, 8, 3), 127, "uint8")).numpy()
