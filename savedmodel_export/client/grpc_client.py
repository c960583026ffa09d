"""TensorFlow Serving's gRPC interface."""

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from savedmodel_export.client.retry import RequestError, Unavailable, with_retries

# gRPC's own limit of 4 MiB is less than seven images of 224 x 224 x 3 floats.
OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
]


class GrpcClient:
    """Asks one model of a server. See `RestClient` for the methods.

    Args:
        address: str, for example `"localhost:8500"`.
        model: str, its name in `models.config`.
        label: str or `None`, for example `"stable"`.
        version: int or `None`. Without it and `label` the newest version answers.
        timeout: float. Seconds to wait for an answer.
        retries: int. Times to ask again where the server is busy or unreachable.
    """

    def __init__(
        self, address, model, label=None, version=None, timeout=60.0, retries=5
    ):
        self._address, self._model = address, model
        self._label, self._version = label, version
        self._timeout, self._retries = timeout, retries
        self._channel = grpc.insecure_channel(address, options=OPTIONS)
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)

    def predict(self, inputs, signature="serving_default"):
        """Runs a signature; see `RestClient.predict`."""
        request = predict_pb2.PredictRequest()
        self._choose(request.model_spec, signature)
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        answer = self._ask(self._stub.Predict, request)
        return {name: _array(value) for name, value in answer.outputs.items()}

    def classify(self, encoded_images, signature="classify"):
        """Classifies encoded images; see `RestClient.classify`."""
        request = classification_pb2.ClassificationRequest()
        self._choose(request.model_spec, signature)
        for image in encoded_images:
            example = request.input.example_list.examples.add()
            example.features.feature["image/encoded"].bytes_list.value.append(image)
        rows = self._ask(self._stub.Classify, request).result.classifications
        return {
            "classes": _array([[one.label for one in row.classes] for row in rows]),
            "scores": _array([[one.score for one in row.classes] for row in rows]),
        }

    def signatures(self):
        """Returns the signatures' names; see `RestClient.signatures`."""
        request = get_model_metadata_pb2.GetModelMetadataRequest(
            metadata_field=["signature_def"]
        )
        self._choose(request.model_spec)
        answer = self._ask(self._stub.GetModelMetadata, request)
        definitions = get_model_metadata_pb2.SignatureDefMap()
        answer.metadata["signature_def"].Unpack(definitions)
        return list(definitions.signature_def)

    def close(self):
        """Closes the connection."""
        self._channel.close()

    def _choose(self, model_spec, signature=""):
        model_spec.name = self._model
        model_spec.signature_name = signature
        if self._label:
            model_spec.version_label = self._label
        elif self._version:
            model_spec.version.value = self._version

    def _ask(self, method, request):
        return with_retries(lambda: self._ask_once(method, request), self._retries)

    def _ask_once(self, method, request):
        try:
            return method(request, timeout=self._timeout)
        except grpc.RpcError as error:
            code, reason = error.code(), error.details()
            if code == grpc.StatusCode.UNAVAILABLE:
                raise Unavailable(f"{self._address}: {reason}") from error
            if code == grpc.StatusCode.DEADLINE_EXCEEDED:
                reason = f"{self._address} did not answer in {self._timeout} s."
            raise RequestError(
                f"{code.name}: {reason}", code == grpc.StatusCode.INVALID_ARGUMENT
            ) from error


def _array(value):
    if isinstance(value, list):
        return np.array(value)
    array = tf.make_ndarray(value)
    return array if array.dtype != object else np.char.decode(array.astype("S"))
