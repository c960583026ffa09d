"""A server that treats requests as TensorFlow Serving's batching does.

Requests to one signature are joined on dim 0, padded to an allowed batch size by
repeating a row, cut where the open batch has no more room, and answered row by row.
An error of a batch goes to all requests in it.
"""

import concurrent.futures
import threading
import time

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)


class Batcher:
    """Joins the calls of several threads to one function of arrays.

    Args:
        function: array -> dict, name -> array with as many rows.
        allowed_sizes: increasing list of int.
        timeout: float. Seconds that an open batch waits for more rows.
    """

    def __init__(self, function, allowed_sizes, timeout):
        self._function, self._sizes, self._timeout = function, allowed_sizes, timeout
        self._lock = threading.Condition()
        self._waiting = []  # (row, future)
        self.batches = []  # (rows of requests, rows with padding)
        threading.Thread(target=self._work, daemon=True).start()

    def __call__(self, rows):
        futures = [concurrent.futures.Future() for _ in rows]
        with self._lock:
            self._waiting += zip(rows, futures, strict=True)
            self._lock.notify()
        answers = [future.result(60) for future in futures]
        return {name: np.stack([a[name] for a in answers]) for name in answers[0]}

    def _work(self):
        while True:
            with self._lock:
                self._lock.wait_for(lambda: self._waiting)
                full = self._lock.wait_for(
                    lambda: len(self._waiting) >= self._sizes[-1], self._timeout
                )
                room = self._sizes[-1] if full else len(self._waiting)
                batch, self._waiting = self._waiting[:room], self._waiting[room:]
            self._run(batch)

    def _run(self, batch):
        rows, futures = zip(*batch, strict=True)
        size = min(size for size in self._sizes if size >= len(rows))
        self.batches.append((len(rows), size))
        try:
            # `np.stack` would make fixed-size strings of bytes objects.
            joined = [*rows, *[rows[0]] * (size - len(rows))]
            outputs = self._function(
                joined if isinstance(rows[0], bytes) else np.stack(joined)
            )
        except Exception as error:
            for future in futures:
                future.set_exception(error)
            return
        for index, future in enumerate(futures):
            future.set_result({name: value[index] for name, value in outputs.items()})


class Servicer(prediction_service_pb2_grpc.PredictionServiceServicer):
    """The official service on one exported model.

    Args:
        served: `Served`.
        allowed_sizes: increasing list of int.
        timeout: float. Seconds that an open batch waits.
    """

    def __init__(self, served, allowed_sizes, timeout=0.01):
        self.batchers = {
            name: Batcher(
                lambda rows, name=name: served.answer(name, rows),
                allowed_sizes,
                timeout,
            )
            for name in served.signatures
        }
        self.refusals = 0  # Requests to answer with UNAVAILABLE.
        self.delay = 0.0
        self.specs = []

    def run(self, model_spec, rows):
        """Answers rows; raises what the model raises, or `Busy`."""
        self.specs.append(model_spec)
        time.sleep(self.delay)
        if self.refusals:
            self.refusals -= 1
            raise Busy("the queue is full")
        return self.batchers[model_spec.signature_name or "serving_default"](rows)

    def Predict(self, request, context):  # noqa: N802 (the service's name)
        (tensor,) = request.inputs.values()
        array = tf.make_ndarray(tensor)
        rows = list(array) if array.dtype == object else array
        outputs = self._answer(request.model_spec, rows, context)
        response = predict_pb2.PredictResponse()
        for name, value in outputs.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        return response

    def Classify(self, request, context):  # noqa: N802 (the service's name)
        examples = request.input.example_list.examples
        rows = [example.SerializeToString() for example in examples]
        outputs = self._answer(request.model_spec, rows, context)
        response = classification_pb2.ClassificationResponse()
        for names, scores in zip(outputs["classes"], outputs["scores"], strict=True):
            row = response.result.classifications.add()
            for name, score in zip(names, scores, strict=True):
                row.classes.add(label=name, score=score)
        return response

    def GetModelMetadata(self, request, context):  # noqa: N802 (the service's name)
        definitions = get_model_metadata_pb2.SignatureDefMap()
        for name in self.batchers:
            definitions.signature_def[name].SetInParent()
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.metadata["signature_def"].Pack(definitions)
        return response

    def _answer(self, model_spec, rows, context):
        try:
            return self.run(model_spec, rows)
        except Busy as error:
            context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        except tf.errors.InvalidArgumentError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)


class Busy(Exception):
    """The server cannot take the request now."""


def start_grpc(servicer):
    """Returns a started server and its address."""
    workers = concurrent.futures.ThreadPoolExecutor(16)
    options = [("grpc.max_receive_message_length", -1)]
    server = grpc.server(workers, options=options)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        servicer, server
    )
    port = server.add_insecure_port("localhost:0")
    server.start()
    return server, f"localhost:{port}"
