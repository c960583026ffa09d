import http.server
import threading
import time

import pytest

from savedmodel_export.client.answers import ANSWER, SERVER, RequestError
from savedmodel_export.client.http import Http, is_local
from tests.savedmodel_export.client.faulty import faults
from tests.savedmodel_export.client.faulty.fake_servers import send

URL = "/v1/models/m/metadata"


def connect(server, timeout=5.0, retries=3, max_bytes=2**20):
    return Http(server.address, timeout, retries, max_bytes)


def ask(client, server):
    return client.request("GET", server.address + URL)


def count(server, fault):
    """Lets the server fail so, and returns the list to which each time is added."""
    times = []

    def counted(connection, server):
        times.append(time.monotonic())
        fault(connection, server)

    server.fault = counted
    return times


@pytest.mark.parametrize(
    "name", ["500", "502", "503", "504", "429", "cut body", "closes", "resets"]
)
def test_what_may_pass_is_asked_again(rest_server, name):
    times = count(rest_server, faults.REST_FAULTS[name])
    rest_server.faults_left = 3
    status, content = ask(connect(rest_server), rest_server)
    assert status == 200 and b"serve_bytes" in content
    assert len(times) == 3
    rest_server.faults_left = 4
    with pytest.raises(RequestError, match="No answer after 4 attempts") as caught:
        ask(connect(rest_server), rest_server)
    assert caught.value.fault == ANSWER


@pytest.mark.parametrize("name", ["404", "401", "501", "301 to itself", "null"])
def test_what_stays_is_asked_once(rest_server, name):
    times = count(rest_server, faults.REST_FAULTS[name])
    ask(connect(rest_server), rest_server)
    assert len(times) == 1


def test_nobody_there():
    with pytest.raises(
        RequestError, match="after 2 attempts: .*cannot be re"
    ) as caught:
        Http("http://localhost:1", 5.0, 1, 99).request("GET", "http://localhost:1/")
    assert caught.value.fault == SERVER


@pytest.mark.parametrize(
    "name", [name for name in faults.REST_FAULTS if "drips" in name or "stops" in name]
)
def test_a_slow_answer_ends_in_time(rest_server, name):
    rest_server.fault = faults.REST_FAULTS[name]
    start = time.monotonic()
    with pytest.raises(RequestError, match="did not answer in 0.1 s"):
        ask(connect(rest_server, timeout=0.1), rest_server)
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("name", ["503, come back tomorrow", "503, come back in 2099"])
def test_a_wait_longer_than_the_timeout_is_not_waited(rest_server, name):
    rest_server.fault = faults.REST_FAULTS[name]
    start = time.monotonic()
    with pytest.raises(RequestError, match="next attempt would start in 21600 s"):
        ask(connect(rest_server), rest_server)
    assert time.monotonic() - start < 4


def test_a_wish_to_wait_is_kept(rest_server):
    times = count(rest_server, faults.says(503, b"", "Retry-After: 1"))
    rest_server.faults_left = 1
    start = time.monotonic()
    ask(connect(rest_server), rest_server)
    assert time.monotonic() - start >= 1 and len(times) == 1


def test_long_answers_are_refused(rest_server):
    rest_server.fault = faults.says(200, b"x" * 1000)
    assert len(ask(connect(rest_server, max_bytes=1000), rest_server)[1]) == 1000
    for fault in (rest_server.fault, faults.REST_FAULTS["endless body"]):
        rest_server.fault = fault
        with pytest.raises(RequestError, match="more than 999 bytes"):
            ask(connect(rest_server, max_bytes=999), rest_server)
    rest_server.fault = faults.REST_FAULTS["gzip bomb"]
    with pytest.raises(RequestError, match="compressed answer .gzip."):
        ask(connect(rest_server), rest_server)


def test_a_connection_shut_for_one_request_is_not_another_ones(rest_server):
    # The first request's time ends while the second uses the same connection.
    client = connect(rest_server, timeout=0.3)
    for _ in range(5):
        ask(client, rest_server)
    time.sleep(0.35)
    rest_server.fault = lambda connection, server: (
        server.wait(0.2),
        send(connection, 200, {}),
    )
    for _ in range(3):
        assert ask(client, rest_server)[0] == 200


@pytest.mark.parametrize("address", ["localhost:8501", "ftp://x", "http://", ""])
def test_addresses(address):
    with pytest.raises(ValueError, match="Expected an address like"):
        Http(address, 1.0, 0, 99)


def test_proxies(rest_server, monkeypatch):
    asked = []

    class Proxy(http.server.BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802 (the name that the base class calls)
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments):
            pass

    proxy = http.server.HTTPServer(("localhost", 0), Proxy)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    monkeypatch.setenv("http_proxy", f"http://localhost:{proxy.server_port}")
    monkeypatch.delenv("no_proxy", raising=False)
    ask(connect(rest_server), rest_server)
    assert asked == []
    client = Http("http://model.invalid:8501", 5.0, 0, 99)
    client.request("GET", "http://model.invalid:8501/v1")
    assert asked == ["http://model.invalid:8501/v1"]
    proxy.shutdown()


def test_this_machine():
    assert all(map(is_local, ["localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"]))
    assert not any(map(is_local, ["10.0.0.1", "example.org", "localhost.org"]))
