import time

import grpc
import pytest

from savedmodel_export.client.answers import ANSWER, INPUT, SERVER, RequestError
from savedmodel_export.client.grpc_client import GrpcClient
from tests.savedmodel_export.client.faulty import faults
from tests.savedmodel_export.client.faulty.fake_servers import (
    GrpcServer,
)

WHOLE = ("no class_ids", "no probabilities", "empty")


def ask(address, timeout=0.3, **options):
    client = GrpcClient(address, "m", timeout=timeout, retries=1, **options)
    try:
        return client.predict({"image_bytes": [b"\x01"]}, "serve_bytes")
    finally:
        client.close()


@pytest.mark.parametrize("name", [n for n in faults.GRPC_FAULTS if n not in WHOLE])
def test_no_fault_is_taken_for_an_answer(grpc_server, name, caplog):
    grpc_server.fault = faults.GRPC_FAULTS[name]
    with pytest.raises(RequestError) as caught:
        ask(grpc_server.address, max_answer_bytes=2**20)
    # gRPC's own side of the client reports some errors with a traceback.
    assert not {"grpc._channel", "grpc._common"} & {r.name for r in caplog.records}
    assert 0 < len(str(caught.value)) < 1000 and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", faults.PORT_FAULTS)
def test_ports_that_speak_no_grpc(rest_server, name):
    rest_server.fault = faults.PORT_FAULTS[name]
    start = time.monotonic()
    with pytest.raises(RequestError):
        ask(f"localhost:{rest_server.port}")
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("code", ["UNAVAILABLE", "INTERNAL", "UNKNOWN", "ABORTED"])
def test_what_may_pass_is_asked_again(grpc_server, code):
    grpc_server.fault = faults.GRPC_FAULTS[code]
    grpc_server.faults_left = 4
    client = GrpcClient(grpc_server.address, "m", retries=4)
    client.predict({"image_bytes": [b"\x01"]}, "serve_bytes")
    assert grpc_server.faults_left == -1
    grpc_server.faults_left = 5
    with pytest.raises(RequestError, match=f"{code}: boom") as caught:
        client.predict({"image_bytes": [b"\x01"]}, "serve_bytes")
    assert caught.value.fault == ANSWER
    client.close()


@pytest.mark.parametrize("code", ["NOT_FOUND", "PERMISSION_DENIED", "UNIMPLEMENTED"])
def test_what_stays_is_asked_once(grpc_server, code):
    grpc_server.fault = faults.GRPC_FAULTS[code]
    grpc_server.faults_left = 2
    with pytest.raises(RequestError, match=code) as caught:
        ask(grpc_server.address)
    assert caught.value.fault == SERVER
    assert grpc_server.faults_left == 1


def test_nobody_there():
    with pytest.raises(RequestError, match="UNAVAILABLE") as caught:
        ask("localhost:1", timeout=20.0)
    assert caught.value.fault == SERVER


def test_an_image_at_fault(grpc_server):
    client = GrpcClient(grpc_server.address, "m")
    with pytest.raises(RequestError, match="INVALID_ARGUMENT: Unknown") as caught:
        client.predict({"image_bytes": [b"bad"]}, "serve_bytes")
    assert caught.value.fault == INPUT
    client.close()


@pytest.mark.parametrize("answer", [b"", b"\xff\xff", b"\x0a\x02ab"])
def test_metadata_without_signatures(grpc_server, answer):
    grpc_server.fault = lambda images, context: answer
    with pytest.raises(RequestError):
        GrpcClient(grpc_server.address, "m", retries=0).signatures()


def test_options():
    with pytest.raises(ValueError, match="repeats at most 4 times"):
        GrpcClient("localhost:1", "m", retries=5)
    with pytest.raises(ValueError, match="`root_certificates` needs `tls`"):
        GrpcClient("localhost:1", "m", root_certificates="ca.pem")


def test_no_proxy_for_this_machine(grpc_server, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://localhost:1")
    monkeypatch.delenv("no_proxy", raising=False)
    assert ask(grpc_server.address, timeout=5.0)["class_ids"].tolist() == [1]


def test_tls(certificate, root_certificates):
    (chain,) = certificate.cert_chain_pems
    pair = certificate.private_key_pem.bytes(), chain.bytes()
    server = GrpcServer(grpc.ssl_server_credentials([pair]))
    secure = {"tls": True, "timeout": 5.0}
    outputs = ask(server.address, root_certificates=root_certificates, **secure)
    assert outputs["class_ids"].tolist() == [1]
    with pytest.raises(RequestError):
        ask(server.address, **secure)
    with pytest.raises(RequestError):
        ask(server.address, timeout=5.0)
    server.stop()
