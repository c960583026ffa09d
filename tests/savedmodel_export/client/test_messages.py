import numpy as np
import pytest

from savedmodel_export.client.answers import RequestError
from savedmodel_export.client.messages import message, to_array, to_tensor


@pytest.mark.parametrize(
    "value",
    [
        np.arange(6, dtype="float32").reshape(2, 3),
        np.array([0.5]),
        np.array([[1], [2]], "int32"),
        np.array([1, 255], "uint8"),
        np.array([2**40, -1]),
        np.array([True, False]),
        np.zeros((0, 3), "float32"),
    ],
)
def test_as_tensorflow_has_it(value):
    import tensorflow as tf
    from tensorflow.core.framework import tensor_pb2

    official = tf.make_tensor_proto(value)
    ours = to_tensor(value)
    parsed = tensor_pb2.TensorProto.FromString(ours.SerializeToString())
    np.testing.assert_array_equal(tf.make_ndarray(parsed), value)
    back = to_array("x", message("Tensor").FromString(official.SerializeToString()))
    np.testing.assert_array_equal(back, value)
    assert back.dtype == value.dtype


def test_the_values_as_a_server_sends_them():
    # TensorFlow Serving fills the fields of values, not the content.
    for field, values, number in (
        ("float_val", [1.0, 2.0], 1),
        ("int_val", [1, 2], 3),
        ("int64_val", [1, 2], 9),
        ("bool_val", [True, False], 10),
    ):
        tensor = message("Tensor")(dtype=number)
        tensor.tensor_shape.dim.add(size=2)
        getattr(tensor, field).extend(values)
        assert to_array("x", tensor).tolist() == values


def test_strings():
    tensor = to_tensor([b"a", b"\xff"])
    assert list(tensor.string_val) == [b"a", b"\xff"]
    with pytest.raises(RequestError, match="`x` is no array"):
        to_array("x", tensor)
    words = to_tensor(["snow\N{SNOWMAN}".encode(), b""])
    assert to_array("x", words).tolist() == ["snow\N{SNOWMAN}", ""]


def test_the_requests_as_the_official_messages_have_them():
    from tensorflow_serving.apis import (
        classification_pb2,
        get_model_metadata_pb2,
        predict_pb2,
    )

    request = message("PredictRequest")()
    request.model_spec.name, request.model_spec.signature_name = "m", "s"
    request.model_spec.version.value = 7
    request.inputs["x"].CopyFrom(to_tensor([b"a"]))
    official = predict_pb2.PredictRequest.FromString(request.SerializeToString())
    assert official.model_spec.version.value == 7
    assert official.model_spec.signature_name == "s"
    assert official.inputs["x"].string_val[0] == b"a"
    request = message("ClassificationRequest")()
    example = request.input.example_list.examples.add()
    example.features.feature["image"].bytes_list.value.append(b"a")
    official = classification_pb2.ClassificationRequest.FromString(
        request.SerializeToString()
    )
    (found,) = official.input.example_list.examples
    assert found.features.feature["image"].bytes_list.value[0] == b"a"
    request = message("MetadataRequest")(metadata_field=["signature_def"])
    official = get_model_metadata_pb2.GetModelMetadataRequest.FromString(
        request.SerializeToString()
    )
    assert list(official.metadata_field) == ["signature_def"]


def test_types_that_are_not_sent():
    with pytest.raises(ValueError, match="Expected an array of float32.*complex"):
        to_tensor(np.zeros(3, "complex64"))


def test_a_huge_shape_takes_no_memory():
    tensor = message("Tensor")(dtype=1, float_val=[1.0])
    for size in (2**20, 2**20):
        tensor.tensor_shape.dim.add(size=size)
    with pytest.raises(RequestError, match="shape .1048576, 1048576."):
        to_array("x", tensor)
