"""The REST interface of TensorFlow Serving, as far as the client uses it."""

import base64
import http.server
import json
import re
import threading

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import model_pb2

from tests.savedmodel_export.batching_server import Busy

PATH = re.compile(r"/v1/models/(\w+)(?:/labels/(\w+)|/versions/(\d+))?:(\w+)")

METADATA = re.compile(r"/v1/models/\w+(?:/labels/\w+|/versions/\d+)?/metadata")


def start_rest(servicer):
    """Returns a started server on a `Servicer` and its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):  # noqa: N802 (the name that the base class calls)
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            name, label, version, method = PATH.fullmatch(self.path).groups()
            spec = model_pb2.ModelSpec(name=name, signature_name=body["signature_name"])
            if label:
                spec.version_label = label
            if version:
                spec.version.value = int(version)
            try:
                self._send(200, _answer(servicer, spec, method, body))
            except Busy as error:
                self._send(503, {"error": str(error)})
            except tf.errors.InvalidArgumentError as error:
                self._send(400, {"error": error.message})

        def do_GET(self):  # noqa: N802 (the name that the base class calls)
            if not METADATA.fullmatch(self.path):
                return self._send(404, {"error": "Not found"})
            signatures = {name: {} for name in servicer.batchers}
            metadata = {"signature_def": {"signature_def": signatures}}
            return self._send(200, {"metadata": metadata})

        def _send(self, status, content):
            content = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("localhost", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://localhost:{server.server_port}"


def _answer(servicer, spec, method, body):
    if method == "classify":
        rows = [_example(**example) for example in body["examples"]]
        outputs = servicer.run(spec, rows)
        rows = zip(outputs["classes"], outputs["scores"], strict=True)
        return {
            "results": [
                [[c.decode(), float(s)] for c, s in zip(*row, strict=True)]
                for row in rows
            ]
        }
    (value,) = body["inputs"].values()
    if isinstance(value[0], dict):
        rows = [base64.b64decode(content["b64"]) for content in value]
    else:
        rows = np.array(value, "float32")
    outputs = servicer.run(spec, rows)
    return {
        "outputs": {
            name: np.char.decode(output.astype("S")).tolist()
            if output.dtype.kind in "SO"
            else output.tolist()
            for name, output in outputs.items()
        }
    }


def _example(**features):
    example = tf.train.Example()
    for name, content in features.items():
        value = base64.b64decode(content["b64"])
        example.features.feature[name].bytes_list.value.append(value)
    return example.SerializeToString()
