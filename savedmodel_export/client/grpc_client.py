"""TensorFlow Serving's gRPC interface."""

import json

import grpc
import numpy as np
from google.protobuf.message import DecodeError

from savedmodel_export.client.answers import (
    ANSWER,
    INPUT,
    SERVER,
    RequestError,
    check_outputs,
    check_scores,
)
from savedmodel_export.client.http import FIRST_WAIT, LONGEST_WAIT, is_local
from savedmodel_export.client.messages import message, to_array, to_tensor
from savedmodel_export.client.rest_client import MAX_ANSWER_BYTES

SERVICE = "tensorflow.serving.PredictionService"
# What gRPC itself can repeat at most.
MAX_RETRIES = 4
TRANSIENT = ("UNAVAILABLE", "INTERNAL", "UNKNOWN", "ABORTED")
AT_FAULT = ("INVALID_ARGUMENT", "OUT_OF_RANGE")
FAILED = (
    *TRANSIENT,
    "CANCELLED",
    "DEADLINE_EXCEEDED",
    "RESOURCE_EXHAUSTED",
    "DATA_LOSS",
)


class GrpcClient:
    """Asks one model of a server. See `RestClient` for the methods.

    Args:
        address: str, for example `"localhost:8500"`.
        model: str, its name in `models.config`.
        label: str or `None`, for example `"stable"`.
        version: int or `None`. Without it and `label` the newest version answers.
        timeout: float. Seconds for an answer in all, repeats included.
        retries: int, at most 4. Times to repeat a request where the server is busy,
            fails, cuts its answer or is unreachable.
        tls: bool. Whether to speak TLS.
        root_certificates: path or `None`. PEM file of the authorities to trust in
            place of gRPC's own. Needs `tls`.
        max_answer_bytes: int. A longer answer is refused.
    """

    def __init__(
        self,
        address,
        model,
        label=None,
        version=None,
        timeout=60.0,
        retries=MAX_RETRIES,
        tls=False,
        root_certificates=None,
        max_answer_bytes=MAX_ANSWER_BYTES,
    ):
        if not 0 <= retries <= MAX_RETRIES:
            raise ValueError(
                f"gRPC repeats at most {MAX_RETRIES} times. Received: retries={retries}"
            )
        if root_certificates and not tls:
            raise ValueError("`root_certificates` needs `tls`.")
        self._address, self._model = address, model
        self._label, self._version = label, version
        self._timeout = timeout
        options = _options(retries, timeout, max_answer_bytes)
        if is_local(address.rpartition(":")[0]):
            options.append(("grpc.enable_http_proxy", 0))
        self._channel = (
            grpc.secure_channel(address, _credentials(root_certificates), options)
            if tls
            else grpc.insecure_channel(address, options)
        )

    def predict(self, inputs, signature="serving_default"):
        """Runs a signature; see `RestClient.predict`."""
        request = message("PredictRequest")()
        self._choose(request.model_spec, signature)
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(to_tensor(value))
        answer = self._ask("Predict", request, "PredictResponse")
        arrays = {name: to_array(name, value) for name, value in answer.outputs.items()}
        return check_outputs(arrays, len(next(iter(inputs.values()))))

    def classify(self, encoded_images, signature="classify"):
        """Classifies encoded images; see `RestClient.classify`."""
        request = message("ClassificationRequest")()
        self._choose(request.model_spec, signature)
        for image in encoded_images:
            example = request.input.example_list.examples.add()
            example.features.feature["image/encoded"].bytes_list.value.append(image)
        answer = self._ask("Classify", request, "ClassificationResponse")
        rows = [row.classes for row in answer.result.classifications]
        if len({len(row) for row in rows}) > 1:
            raise RequestError("The answer makes no sense: rows of unequal length.")
        return check_scores(
            np.array([[one.label for one in row] for row in rows], str),
            np.array([[one.score for one in row] for row in rows], "float32"),
            len(encoded_images),
        )

    def signatures(self):
        """Returns the signatures' names; see `RestClient.signatures`."""
        request = message("MetadataRequest")(metadata_field=["signature_def"])
        self._choose(request.model_spec)
        answer = self._ask("GetModelMetadata", request, "MetadataResponse")
        try:
            found = message("SignatureDefMap").FromString(
                answer.metadata["signature_def"].value
            )
        except DecodeError as error:
            raise RequestError("The model's metadata cannot be read.") from error
        if not found.signature_def:
            raise RequestError("The model's metadata names no signatures.")
        return list(found.signature_def)

    def close(self):
        """Closes the connection."""
        self._channel.close()

    def _choose(self, model_spec, signature=""):
        model_spec.name = self._model
        model_spec.signature_name = signature
        if self._label:
            model_spec.version_label = self._label
        elif self._version is not None:
            model_spec.version.value = self._version

    def _ask(self, method, request, answer):
        # Bytes come back: gRPC itself prints a traceback of what it cannot parse.
        ask = self._channel.unary_unary(
            f"/{SERVICE}/{method}", type(request).SerializeToString
        )
        try:
            return message(answer).FromString(ask(request, timeout=self._timeout))
        except DecodeError as error:
            raise RequestError(f"The answer is no {answer}.") from error
        except grpc.RpcError as error:
            name = error.code().name
            reason = " ".join(f"{error.details()}".split())[:500]
            if name == "DEADLINE_EXCEEDED":
                reason = f"{self._address} did not answer in {self._timeout:g} s."
            raise RequestError(f"{name}: {reason}", _fault(name, reason)) from error


def _fault(name, reason):
    if name in AT_FAULT:
        return INPUT
    # gRPC tells of a server that is not there only by this text.
    unreachable = name == "UNAVAILABLE" and "failed to connect" in reason.lower()
    return ANSWER if name in FAILED and not unreachable else SERVER


def _options(retries, timeout, max_answer_bytes):
    policy = {
        "maxAttempts": 1 + retries,
        "initialBackoff": f"{FIRST_WAIT}s",
        "maxBackoff": f"{LONGEST_WAIT}s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": list(TRANSIENT),
    }
    method = {
        "name": [{"service": SERVICE}],
        **({"retryPolicy": policy} if retries else {}),
    }
    return [
        ("grpc.service_config", json.dumps({"methodConfig": [method]})),
        ("grpc.enable_retries", int(retries > 0)),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_receive_message_length", max_answer_bytes),
        # No compressed answers: a small one may hold a huge one.
        ("grpc.compression_enabled_algorithms_bitset", 1),
    ]


def _credentials(root_certificates):
    if root_certificates is None:
        return grpc.ssl_channel_credentials()
    with open(root_certificates, "rb") as file:
        return grpc.ssl_channel_credentials(file.read())
