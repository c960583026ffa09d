import ssl
import time

import numpy as np
import pytest

from savedmodel_export.client.answers import INPUT, SERVER, RequestError
from savedmodel_export.client.rest_client import RestClient
from tests.savedmodel_export.client.faulty import faults
from tests.savedmodel_export.client.faulty.fake_servers import RestServer


def ask(server, timeout=0.2, **options):
    client = RestClient(server.address, "m", timeout=timeout, retries=1, **options)
    try:
        return client.predict({"image_bytes": [b"\x01"]}, "serve_bytes")
    finally:
        client.close()


# The last two lack outputs, which only the command needs.
WHOLE = ("no class_ids", "no probabilities", "outputs empty")


@pytest.mark.parametrize("name", [n for n in faults.REST_FAULTS if n not in WHOLE])
def test_no_fault_is_taken_for_an_answer(rest_server, name):
    rest_server.fault = faults.REST_FAULTS[name]
    start = time.monotonic()
    with pytest.raises(RequestError) as caught:
        ask(rest_server, max_answer_bytes=2**20)
    assert time.monotonic() - start < 5
    assert 0 < len(str(caught.value)) < 1000 and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "metadata",
    [b"{}", b"[]", b"null", b'"x"', b'{"metadata": null}', b'{"metadata": []}']
    + [b'{"metadata": {"signature_def": %s}}' % x for x in (b"[]", b"null", b"{}")],
)
def test_metadata_without_signatures(rest_server, metadata):
    rest_server.fault = faults.says(200, metadata)
    with pytest.raises(RequestError, match="names no signatures|has no `metadata`"):
        RestClient(rest_server.address, "m").signatures()


@pytest.mark.parametrize(
    "results",
    [b"null", b"[[1]]", b'[["a", 0.5, 1]]', b"[]", b'[[["a", 7.5]]]', b"[5]"]
    + [b'[[["a", 1.0]], [["a", 1.0]]]', b'[[["a", "b"]]]', b'[[["a", NaN]]]'],
)
def test_classify_refuses_nonsense(rest_server, results):
    rest_server.fault = faults.says(200, b'{"results": %s}' % results)
    with pytest.raises(RequestError, match="makes no sense"):
        RestClient(rest_server.address, "m").classify([b"x"])


def test_the_address_of_a_model(rest_server):
    asked = []
    rest_server.fault = lambda connection, server: faults.send(connection, 404, b"")
    for options in ({}, {"label": "a/b"}, {"version": 0}):
        client = RestClient(f"{rest_server.address}/", "my model", **options)
        with pytest.raises(RequestError, match="HTTP 404"):
            client.signatures()
        asked.append(rest_server.paths[-1])
    start = "/v1/models/my%20model"
    assert asked == [
        f"{start}{part}/metadata" for part in ("", "/labels/a%2Fb", "/versions/0")
    ]


def test_tls(certificate, root_certificates):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    server = RestServer(tls=context)
    outputs = ask(server, timeout=5.0, root_certificates=root_certificates)
    assert outputs["class_ids"].tolist() == [1]
    with pytest.raises(RequestError, match="certificate verify failed") as caught:
        ask(server, timeout=5.0)
    assert caught.value.fault == SERVER
    server.fault = faults.REST_FAULTS["drips its body"]
    with pytest.raises(RequestError, match="did not answer in 0.3 s"):
        ask(server, timeout=0.3, root_certificates=root_certificates)
    server.stop()


def test_an_image_at_fault(rest_server):
    client = RestClient(rest_server.address, "m")
    with pytest.raises(RequestError, match="HTTP 400: Unknown image") as caught:
        client.predict({"image_bytes": [b"bad"]}, "serve_bytes")
    assert caught.value.fault == INPUT
    outputs = client.predict({"image_bytes": [b"\x02", b"\x03"]}, "serve_bytes")
    assert outputs["class_ids"].tolist() == [2, 3]
    np.testing.assert_allclose(outputs["probabilities"].sum(-1), 1, atol=1e-6)
