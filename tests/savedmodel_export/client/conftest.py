"""One server per transport for all tests of the client."""

import pytest
import trustme

from savedmodel_export.client import grpc_client, http
from savedmodel_export.client.grpc_client import GrpcClient
from savedmodel_export.client.rest_client import RestClient
from tests.savedmodel_export.client.faulty.fake_servers import GrpcServer, RestServer


@pytest.fixture(scope="session")
def _servers():
    servers = {"rest": RestServer(), "grpc": GrpcServer()}
    yield servers
    for server in servers.values():
        server.stop()


@pytest.fixture
def rest_server(_servers):
    """A `RestServer` that answers."""
    _servers["rest"].reset()
    return _servers["rest"]


@pytest.fixture
def grpc_server(_servers):
    """A `GrpcServer` that answers."""
    _servers["grpc"].reset()
    return _servers["grpc"]


@pytest.fixture(scope="session")
def authority():
    """A certificate authority that no machine trusts by itself."""
    return trustme.CA()


@pytest.fixture(scope="session")
def root_certificates(authority, tmp_path_factory):
    """The file that makes a client trust it."""
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


@pytest.fixture(scope="session")
def certificate(authority):
    """What it issued to the servers of this machine."""
    return authority.issue_cert("localhost", "127.0.0.1")


@pytest.fixture(params=["rest", "grpc"])
def server(request):
    """Both, one after the other."""
    return request.getfixturevalue(f"{request.param}_server")


@pytest.fixture
def connect(server):
    """Function: options of the client -> client of `server`."""
    kind = GrpcClient if "http" not in server.address else RestClient
    clients = []

    def connect(**options):
        clients.append(kind(server.address, "m", **options))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    """No test waits long for a next attempt."""
    monkeypatch.setattr(http, "FIRST_WAIT", 0.001)
    # gRPC itself hangs now and then at a wait of a millisecond.
    monkeypatch.setattr(grpc_client, "FIRST_WAIT", 0.02)
