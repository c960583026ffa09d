"""The messages of TensorFlow Serving's gRPC interface, without TensorFlow.

The official modules import TensorFlow, which takes seconds. Here are the fields that
the client uses, by the numbers of the official `.proto` files: only these go over the
wire. A message skips the fields that it does not know.
"""

import math

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from savedmodel_export.client.answers import RequestError

PACKAGE = "savedmodel_export.client"

# message -> field -> (number, type); `*` is repeated, `{}` a map from strings.
MESSAGES = {
    "Dim": {"size": (1, "int64")},
    "Shape": {"dim": (2, "Dim*"), "unknown_rank": (3, "bool")},
    "Tensor": {
        "dtype": (1, "int32"),
        "tensor_shape": (2, "Shape"),
        "tensor_content": (4, "bytes"),
        "float_val": (5, "float*"),
        "double_val": (6, "double*"),
        "int_val": (7, "int32*"),
        "string_val": (8, "bytes*"),
        "int64_val": (10, "int64*"),
        "bool_val": (11, "bool*"),
    },
    "Version": {"value": (1, "int64")},
    "ModelSpec": {
        "name": (1, "string"),
        "version": (2, "Version"),
        "signature_name": (3, "string"),
        "version_label": (4, "string"),
    },
    "PredictRequest": {"model_spec": (1, "ModelSpec"), "inputs": (2, "Tensor{}")},
    "PredictResponse": {"outputs": (1, "Tensor{}")},
    "Bytes": {"value": (1, "bytes*")},
    "Feature": {"bytes_list": (1, "Bytes")},
    "Features": {"feature": (1, "Feature{}")},
    "Example": {"features": (1, "Features")},
    "Examples": {"examples": (1, "Example*")},
    "Input": {"example_list": (1, "Examples")},
    "ClassificationRequest": {"model_spec": (1, "ModelSpec"), "input": (2, "Input")},
    "Class": {"label": (1, "string"), "score": (2, "float")},
    "Classifications": {"classes": (1, "Class*")},
    "Result": {"classifications": (1, "Classifications*")},
    "ClassificationResponse": {"result": (1, "Result")},
    "MetadataRequest": {
        "model_spec": (1, "ModelSpec"),
        "metadata_field": (2, "string*"),
    },
    "Any": {"type_url": (1, "string"), "value": (2, "bytes")},
    "MetadataResponse": {"metadata": (2, "Any{}")},
    "SignatureDef": {},
    "SignatureDefMap": {"signature_def": (1, "SignatureDef{}")},
}

# Type of a tensor -> (its number, the field of its values).
FIELDS = {
    "float32": (1, "float_val"),
    "float64": (2, "double_val"),
    "int32": (3, "int_val"),
    "uint8": (4, "int_val"),
    "int16": (5, "int_val"),
    "int8": (6, "int_val"),
    "int64": (9, "int64_val"),
    "bool": (10, "bool_val"),
}
STRING = 7
NUMBERS = {number: (name, field) for name, (number, field) in FIELDS.items()}
# A tensor may name any shape and hold one value for it.
MAX_SIZE = 2**26


def _file():
    file = descriptor_pb2.FileDescriptorProto(
        name="savedmodel_export/client.proto", package=PACKAGE, syntax="proto3"
    )
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            if kind.endswith("{}"):
                entry = message.nested_type.add(name=f"{field.title()}Entry")
                entry.name = entry.name.replace("_", "")
                entry.options.map_entry = True
                _add(entry, "key", 1, "string")
                _add(entry, "value", 2, kind[:-2])
                kind = f"{name}.{entry.name}*"
            _add(message, field, number, kind)
    return file


def _add(message, name, number, kind):
    field = message.field.add(name=name, number=number)
    repeated = kind.endswith("*")
    field.label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
    kind = kind.rstrip("*")
    if kind in MESSAGES or "." in kind:
        field.type, field.type_name = field.TYPE_MESSAGE, f".{PACKAGE}.{kind}"
    else:
        field.type = getattr(field, f"TYPE_{kind.upper()}")


_POOL = descriptor_pool.DescriptorPool()
_POOL.Add(_file())


def message(name):
    """Returns the class of one of `MESSAGES`."""
    return message_factory.GetMessageClass(
        _POOL.FindMessageTypeByName(f"{PACKAGE}.{name}")
    )


def to_tensor(value):
    """Returns the message of a numeric array or of a sequence of bytes.

    Raises:
        ValueError: for an array of another type.
    """
    tensor = message("Tensor")()
    if isinstance(value, np.ndarray) and value.dtype != object:
        if value.dtype.name not in FIELDS:
            raise ValueError(
                f"Expected an array of {', '.join(FIELDS)}. Received: {value.dtype}"
            )
        tensor.dtype, _ = FIELDS[value.dtype.name]
        tensor.tensor_content = np.ascontiguousarray(value).tobytes()
        shape = value.shape
    else:
        tensor.dtype = STRING
        tensor.string_val.extend(value)
        shape = (len(value),)
    for size in shape:
        tensor.tensor_shape.dim.add(size=size)
    return tensor


def to_array(name, tensor):
    """Returns the array of an output's message; strings as str.

    Raises:
        RequestError: if it is none.
    """
    shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
    if any(size < 0 for size in shape) or math.prod(shape) > MAX_SIZE:
        raise RequestError(f"The answer makes no sense: `{name}` has shape {shape}.")
    try:
        if tensor.dtype == STRING:
            strings = [value.decode() for value in tensor.string_val]
            values = np.array(strings, dtype=None if strings else "U1")
        elif tensor.dtype in NUMBERS:
            dtype, field = NUMBERS[tensor.dtype]
            values = (
                np.frombuffer(tensor.tensor_content, dtype)
                if tensor.tensor_content
                else np.array(getattr(tensor, field), dtype)
            )
        else:
            raise ValueError(f"type {tensor.dtype}")
        if values.size == 1:
            return np.broadcast_to(values, shape)
        return values.reshape(shape)
    except (ValueError, OverflowError) as error:
        raise RequestError(
            f"The answer makes no sense: `{name}` is no array ({error})."
        ) from error
