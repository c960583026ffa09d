"""Servers of a model of five classes, in this process, that can be told to fail.

Neither needs TensorFlow. The class of an image is the sum of its bytes modulo five; an
image that starts with `bad` is refused.
"""

import base64
import concurrent.futures
import contextlib
import json
import socket
import threading

import grpc
import numpy as np

from savedmodel_export.client.messages import message, to_tensor

NUM_CLASSES = 5
REFUSAL = "Unknown image file format"


def classify(contents, mixes=False):
    """The outputs of `serve_bytes` as arrays; ValueError for a bad image."""
    if any(content.startswith(b"bad") for content in contents):
        raise ValueError(REFUSAL)
    class_ids = np.array([sum(content) % NUM_CLASSES for content in contents])
    logits = 3.0 * np.eye(NUM_CLASSES)[class_ids]
    if mixes:
        logits += 0.1 * logits.mean(0)
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    return {
        "logits": logits.astype("float32"),
        "probabilities": probabilities.astype("float32"),
        "class_ids": class_ids.astype("int32"),
        "classes": np.array([f"class {i}" for i in class_ids]),
    }


class FakeServer:
    """What both servers have.

    Attributes:
        fault: function or `None`. What is done in place of answering.
        faults_left: int or `None`. After so many it answers again.
        mixes: bool. Whether answers depend on the other images.
        signatures: list of str.
        asked: list of lists of bytes, the images of each request.
        asked_signatures: list of str, of the same requests.
        paths: list of str, of the requests of REST.
    """

    def __init__(self):
        self.reset()

    def reset(self):
        self.fault, self.faults_left, self.mixes = None, None, False
        self.signatures = ["serving_default", "serve_bytes"]
        self.asked, self.asked_signatures, self.paths = [], [], []

    def _next_fault(self):
        if self.faults_left is None:
            return self.fault
        self.faults_left -= 1
        return self.fault if self.faults_left >= 0 else None

    def answer(self, contents, signature):
        self.asked.append(contents)
        self.asked_signatures.append(signature)
        return classify(contents, self.mixes)


class RestServer(FakeServer):
    """HTTP by hand, so that a fault can send any bytes: `fault(connection, server)`."""

    def __init__(self, tls=None):
        super().__init__()
        self._tls = tls
        self._listener = socket.create_server(("localhost", 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        self.address = f"{'https' if tls else 'http'}://localhost:{self.port}"
        self._stopped = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self):
        self._stopped.set()
        self._listener.close()

    def wait(self, seconds):
        """Waits, at most until the server is stopped."""
        self._stopped.wait(seconds)

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(
                    target=self._serve, args=[connection], daemon=True
                ).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError), connection:
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
            if getattr(self.fault, "before_the_request", False):
                self.fault(connection, self)
                return
            while not self._stopped.is_set():
                request = _read_request(connection)
                if request is None:
                    return
                fault = self._next_fault() if self.fault else None
                self.paths.append(request[0])
                if fault:
                    fault(connection, self)
                    return
                send(connection, *self._respond(*request))

    def _respond(self, path, body):
        if path.endswith("/metadata"):
            definitions = {name: {} for name in self.signatures}
            metadata = {"signature_def": {"signature_def": definitions}}
            return 200, {"metadata": metadata}
        request = json.loads(body)
        images = [base64.b64decode(i["b64"]) for i in request["inputs"]["image_bytes"]]
        try:
            outputs = self.answer(images, request["signature_name"])
        except ValueError as error:
            return 400, {"error": str(error)}
        return 200, {"outputs": {name: v.tolist() for name, v in outputs.items()}}


def send(connection, status, content, *headers):
    """Sends a whole answer."""
    if not isinstance(content, bytes):
        content = json.dumps(content).encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(content)}", *headers]
    connection.sendall("\r\n".join([*lines, "", ""]).encode() + content)


def _read_request(connection):
    received = b""
    while b"\r\n\r\n" not in received:
        part = connection.recv(2**16)
        if not part:
            return None
        received += part
    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.decode().splitlines()
    lengths = [line for line in lines if line.lower().startswith("content-length")]
    length = int(lengths[0].split(":")[1]) if lengths else 0
    while len(body) < length:
        body += connection.recv(2**16)
    return lines[0].split()[1], body


class GrpcServer(FakeServer):
    """The three methods of the service: `fault(images, context)` gives the response."""

    def __init__(self, credentials=None):
        super().__init__()
        self._server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
        self._server.add_generic_rpc_handlers((_Handler(self),))
        port = (
            self._server.add_secure_port("127.0.0.1:0", credentials)
            if credentials
            else self._server.add_insecure_port("127.0.0.1:0")
        )
        self.address = f"127.0.0.1:{port}"
        self._server.start()

    def stop(self):
        self._server.stop(None)

    def predict(self, request, context):
        request = message("PredictRequest").FromString(request)
        (images,) = request.inputs.values()
        fault = self._next_fault() if self.fault else None
        if fault:
            return fault(list(images.string_val), context)
        try:
            signature = request.model_spec.signature_name
            return response(self.answer(list(images.string_val), signature))
        except ValueError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))

    def metadata(self, request, context):
        if self.fault and (fault := self._next_fault()):
            return fault([b""], context)
        definitions = message("SignatureDefMap")()
        for name in self.signatures:
            definitions.signature_def[name].SetInParent()
        answer = message("MetadataResponse")()
        answer.metadata["signature_def"].value = definitions.SerializeToString()
        return answer.SerializeToString()


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, server):
        self._server = server

    def service(self, details):
        method = {
            "Predict": self._server.predict,
            "GetModelMetadata": self._server.metadata,
        }.get(details.method.rpartition("/")[2])
        return method and grpc.unary_unary_rpc_method_handler(method)


def response(outputs):
    """The bytes of a PredictResponse."""
    answer = message("PredictResponse")()
    for name, value in outputs.items():
        if value.dtype.kind == "U":
            value = [text.encode() for text in value]
        answer.outputs[name].CopyFrom(to_tensor(value))
    return answer.SerializeToString()
