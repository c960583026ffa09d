"""What servers do wrong: name -> fault, for the servers of `fake_servers`."""

import functools
import gzip
import socket
import struct
import threading

import grpc
import numpy as np

from savedmodel_export.client.messages import message
from tests.savedmodel_export.client.faulty.fake_servers import classify, response, send

# Longer than any test waits.
FOREVER = 60
OK = b"HTTP/1.1 200 OK\r\n"
GOOD = classify([b"\x01"])


def before_the_request(fault):
    """Returns the fault as one that does not wait for the request."""
    marked = functools.partial(fault)
    marked.before_the_request = True
    return marked


def says(status, content=b"", *headers):
    return lambda connection, server: send(connection, status, content, *headers)


def raw(*parts):
    return lambda connection, server: connection.sendall(b"".join(parts))


def drips(start, part=b"x"):
    """Sends a byte now and then, so that no timeout of a socket is met."""

    def fault(connection, server):
        connection.sendall(start)
        for _ in range(100 * FOREVER):
            connection.sendall(part)
            server.wait(0.01)
            if server._stopped.is_set():
                return

    return fault


def floods(start, part):
    def fault(connection, server):
        connection.sendall(start)
        while not server._stopped.is_set():
            connection.sendall(part)

    return fault


def waits(start=b""):
    def fault(connection, server):
        connection.sendall(start)
        server.wait(FOREVER)

    return fault


def resets(connection, server):
    linger = struct.pack("ii", 1, 0)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


def outputs(**changed):
    """A good answer for one image with some outputs changed; `None` leaves one out."""
    content = {name: value.tolist() for name, value in GOOD.items()} | changed
    content = {name: value for name, value in content.items() if value is not None}
    return says(200, {"outputs": content})


def with_probabilities(row):
    return outputs(probabilities=[row])


REST_FAULTS = {
    "500": says(500, {"error": "boom"}),
    "500, no JSON": says(500, b"<html>"),
    "500, error is no text": says(500, {"error": {"a": [1]}}),
    "501": says(501, {"error": "not implemented"}),
    "502": says(502, b"Bad Gateway"),
    "503": says(503, {"error": "the queue is full"}),
    "503, come back tomorrow": says(503, b"", "Retry-After: 86400"),
    "503, come back in 2099": says(
        503, b"", "Retry-After: Thu, 01 Jan 2099 00:00:00 GMT"
    ),
    "503, come back never": says(503, b"", "Retry-After: never"),
    "504": says(504, b""),
    "429": says(429, b""),
    "401": says(401, b""),
    "403": says(403, b""),
    "404": says(404, {"error": "Servable not found"}),
    "301 to itself": says(301, b"", "Location: /v1/models/m:predict"),
    "302 to a file": says(302, b"", "Location: file:///etc/passwd"),
    "204": raw(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "200, empty": says(200),
    "closes": lambda connection, server: None,
    "closes before the request": before_the_request(lambda connection, server: None),
    "resets": resets,
    "resets before the request": before_the_request(resets),
    "garbage": raw(bytes(range(256)) * 4),
    "half a status line": raw(b"HTTP/1.1 2"),
    "status 99999": raw(b"HTTP/1.1 99999 X\r\n\r\n"),
    "HTTP/7": raw(b"HTTP/7.5 200 OK\r\n\r\n{}"),
    "drips its status": drips(b"", b"H"),
    "drips its headers": drips(OK + b"X: "),
    "drips many headers": drips(OK, b"X: y\r\n"),
    "drips its body": drips(OK + b"Content-Length: 100000\r\n\r\n"),
    "drips a body without length": drips(OK + b"\r\n"),
    "drips chunks": drips(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "drips a chunk's size": drips(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
    "continues for ever": drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "says nothing": waits(),
    "reads nothing": before_the_request(waits()),
    "stops after the headers": waits(OK + b"Content-Length: 9\r\n\r\n"),
    "stops in the body": waits(OK + b'Content-Length: 9\r\n\r\n{"a'),
    "cut body": raw(OK, b"Content-Length: 1000\r\n\r\n", b'{"outputs": {'),
    "cut chunks": raw(OK, b"Transfer-Encoding: chunked\r\n\r\n20\r\n{}"),
    "negative length": raw(OK, b"Content-Length: -5\r\n\r\n{}"),
    "length is a word": raw(OK, b"Content-Length: many\r\n\r\n{}"),
    "two lengths": raw(OK, b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}"),
    "bad chunk size": raw(OK, b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}"),
    "endless header": floods(OK + b"X: ", b"y" * 4096),
    "endless headers": floods(OK, b"X: y\r\n" * 500),
    "endless body": floods(OK + b"\r\n", b" " * 2**16),
    "announces 10 TB": raw(OK, b"Content-Length: 9999999999999\r\n\r\n", b"{" * 999),
    "gzip bomb": lambda connection, server: send(
        *(connection, 200, gzip.compress(bytes(2**24))), "Content-Encoding: gzip"
    ),
    "null": says(200, b"null"),
    "a list": says(200, b"[1, 2]"),
    "a number": says(200, b"7"),
    "an empty object": says(200, b"{}"),
    "HTML": says(200, b"<html>Sign in</html>"),
    "no UTF-8": says(200, b'{"outputs": "\xff\xfe"}'),
    "cut JSON": says(200, b'{"outputs": {"classes": ["a"'),
    "deep JSON": says(200, b"[" * 100_000),
    "deep array": says(
        200, b'{"outputs": {"logits": ' + b"[" * 900 + b"]" * 900 + b"}}"
    ),
    "error with 200": says(200, {"error": "no model"}),
    "outputs null": says(200, {"outputs": None}),
    "outputs list": says(200, {"outputs": [1.0]}),
    "outputs empty": says(200, {"outputs": {}}),
    "NaN": with_probabilities([float("nan"), 0, 0, 0, 0]),
    "infinity": with_probabilities([float("inf"), 0, 0, 0, 0]),
    "NaN logits": outputs(logits=[[float("nan")] * 5]),
    "probability 7.5": with_probabilities([7.5, 0, 0, 0, 0]),
    "negative probability": with_probabilities([1.5, -0.5, 0, 0, 0]),
    "sum 0.4": with_probabilities([0.2, 0.2, 0, 0, 0]),
    "probabilities are words": with_probabilities(["a", "b", "c", "d", "e"]),
    "probabilities are null": with_probabilities([None] * 5),
    "probabilities for no class": with_probabilities([]),
    "one probability": outputs(probabilities=[0.7]),
    "class -1": outputs(class_ids=[-1]),
    "class 5 of 5": outputs(class_ids=[5]),
    "class 2**70": outputs(class_ids=[2**70]),
    "class 1.0": outputs(class_ids=[1.0]),
    "class true": outputs(class_ids=[True]),
    "not the most probable class": outputs(class_ids=[3]),
    "names are numbers": outputs(classes=[7]),
    "names are objects": outputs(classes=[{"b64": "eA=="}]),
    "no class_ids": outputs(class_ids=None),
    "no probabilities": outputs(probabilities=None),
    "too few rows": outputs(classes=[], class_ids=[], probabilities=[], logits=[]),
    "too many rows": outputs(**{k: v.tolist() * 9 for k, v in GOOD.items()}),
    "ragged": outputs(logits=[[1.0, [2.0]]]),
}


def aborts(code, text="boom"):
    return lambda images, context: context.abort(code, text)


def changed(**arrays):
    """A good answer with some outputs changed; `None` leaves one out."""

    def fault(images, context):
        made = {**GOOD, **{k: v and np.array(*v) for k, v in arrays.items()}}
        made = {name: value for name, value in made.items() if value is not None}
        return response(made)

    return fault


def tensor(shape, **fields):
    """A good answer whose logits are a tensor with these fields."""

    def fault(images, context):
        answer = message("PredictResponse").FromString(response(GOOD))
        made = answer.outputs["logits"]
        made.Clear()
        for size in shape:
            made.tensor_shape.dim.add(size=size)
        for name, value in fields.items():
            if isinstance(value, list):
                getattr(made, name).extend(value)
            else:
                setattr(made, name, value)
        return answer.SerializeToString()

    return fault


def grpc_waits(images, context):
    ended = threading.Event()
    context.add_callback(ended.set)
    ended.wait(FOREVER)
    return b""


def grpc_compresses(images, context):
    context.set_compression(grpc.Compression.Gzip)
    return response({**GOOD, "logits": np.zeros((1, 2**22), "float32")})


GRPC_FAULTS = {
    **{
        code.name: aborts(code)
        for code in grpc.StatusCode
        if code not in (grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT)
    },
    "details that are no ASCII": aborts(
        grpc.StatusCode.INTERNAL, "\N{SNOWMAN}\x00" * 9
    ),
    "long details": aborts(grpc.StatusCode.INTERNAL, "x" * 100_000),
    "raises": lambda images, context: 1 / 0,
    "says nothing": grpc_waits,
    "garbage": lambda images, context: bytes(range(256)),
    "cut": lambda images, context: response(GOOD)[:-3],
    "empty": lambda images, context: b"",
    "too long": lambda images, context: bytes(2**25),
    "compressed": grpc_compresses,
    "name is no UTF-8": lambda images, context: b"\x0a\x04\x0a\x02\xff\xfe",
    "NaN": changed(probabilities=([[np.nan, 0, 0, 0, 0]],)),
    "infinity": changed(probabilities=([[np.inf, 0, 0, 0, 0]],)),
    "NaN logits": changed(logits=([[np.nan] * 5],)),
    "probability 7.5": changed(probabilities=([[7.5, 0, 0, 0, 0]],)),
    "negative probability": changed(probabilities=([[1.5, -0.5, 0, 0, 0]],)),
    "sum 0.4": changed(probabilities=([[0.2, 0.2, 0, 0, 0]],)),
    "one probability": changed(probabilities=([0.7],)),
    "class -1": changed(class_ids=([-1],)),
    "class 5 of 5": changed(class_ids=([5],)),
    "class 1.0": changed(class_ids=([1.0],)),
    "class true": changed(class_ids=([True],)),
    "not the most probable class": changed(class_ids=([3],)),
    "names are numbers": changed(classes=([7],)),
    "no class_ids": changed(class_ids=None),
    "no probabilities": changed(probabilities=None),
    "too many rows": changed(class_ids=([1] * 9,)),
    "unknown type": tensor(dtype=99, shape=[1, 5]),
    "negative shape": tensor(dtype=1, shape=[-1, 5], float_val=[1.0] * 5),
    "shape of 2**62": tensor(dtype=1, shape=[2**31, 2**31], float_val=[1.0]),
    "too few values": tensor(dtype=1, shape=[1, 5], float_val=[1.0, 2.0]),
    "no values": tensor(dtype=1, shape=[1, 5]),
    "half a value": tensor(dtype=1, shape=[1, 5], tensor_content=b"123456789"),
    "strings that are no UTF-8": tensor(
        dtype=7, shape=[1, 1], string_val=[b"\xff\xfe"]
    ),
}

# Faults of a port that speaks no gRPC, for `RestServer`.
PORT_FAULTS = {
    name: before_the_request(REST_FAULTS[name])
    for name in ("closes", "resets", "garbage", "drips its headers", "says nothing")
}
