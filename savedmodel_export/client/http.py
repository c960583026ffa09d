"""HTTP requests that end in time, whatever the server does. By urllib3."""

import contextlib
import ipaddress
import socket
import threading
import time
import urllib.parse
import urllib.request

import urllib3

from savedmodel_export.client.answers import ANSWER, SERVER, RequestError

# Statuses of a server that may answer the same request in a moment.
TRANSIENT = (429, 500, 502, 503, 504)
# Seconds. The waits between two attempts double from the first to the longest.
FIRST_WAIT = 0.2
LONGEST_WAIT = 10.0
# Of a client that several threads share. More would be closed after each answer.
MAX_CONNECTIONS = 64

_thread = threading.local()


class Http:
    """Sends requests to one server. Safe for threads.

    Args:
        url: str, `http://host:port` or `https://host:port`.
        timeout: float. Seconds for a request in all, its repeats included.
        retries: int. Times to repeat a request that failed at no fault of its own.
        max_bytes: int. A longer answer is refused.
        root_certificates: path or `None`. PEM file of the authorities to trust in
            place of the system's.
    """

    def __init__(self, url, timeout, retries, max_bytes, root_certificates=None):
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(
                f"Expected an address like http://localhost:8501. Received: {url!r}"
            )
        self._url, self._timeout, self._max_bytes = url, timeout, max_bytes
        self._retries = urllib3.Retry(
            retries,
            allowed_methods=None,
            status_forcelist=TRANSIENT,
            backoff_factor=FIRST_WAIT,
            backoff_max=LONGEST_WAIT,
            # So that clients that failed together do not come back together.
            backoff_jitter=FIRST_WAIT,
        )
        options = {"maxsize": MAX_CONNECTIONS}
        if root_certificates:
            options["ca_certs"] = str(root_certificates)
        proxy = _proxy(parts)
        self._pools = (
            urllib3.ProxyManager(proxy, **options)
            if proxy
            else urllib3.PoolManager(**options)
        )
        self._pools.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}

    def request(self, method, url, body=None):
        """Returns the status and the content of the answer.

        Args:
            method: str.
            url: str.
            body: bytes or `None`.

        Raises:
            RequestError: if none comes in time, or it is too long or cut.
        """
        deadline = time.monotonic() + self._timeout
        retries, response = self._retries, None
        while True:
            try:
                response, content = self._attempt(method, url, body, deadline)
                if response.status not in TRANSIENT:
                    return response.status, content
                error, reason = None, f"HTTP {response.status}: {_text(content)}"
            except _REPEATABLE as caught:
                response, error, reason = None, caught, self._reason(caught)
            except urllib3.exceptions.HTTPError as caught:
                raise RequestError(self._reason(caught), SERVER) from caught
            try:
                retries = retries.increment(method, url, response, error)
            except urllib3.exceptions.MaxRetryError as caught:
                raise RequestError(
                    f"No answer after {1 + self._retries.total} attempts: {reason}",
                    SERVER if isinstance(error, _UNREACHABLE) else ANSWER,
                ) from caught
            wait = _seconds_to_wait(retries, response)
            if time.monotonic() + wait >= deadline:
                raise RequestError(
                    f"No answer in {self._timeout:g} s; the next attempt would start "
                    f"in {wait:.0f} s: {reason}",
                    SERVER if isinstance(error, _UNREACHABLE) else ANSWER,
                )
            time.sleep(wait)

    def close(self):
        """Closes the connections."""
        self._pools.clear()

    def _attempt(self, method, url, body, deadline):
        seconds = max(0.001, deadline - time.monotonic())
        late = RequestError(f"{self._url} did not answer in {self._timeout:g} s.")
        with _TimeLimit(seconds) as limit:
            try:
                response = self._pools.request(
                    *(method, url, body),
                    timeout=urllib3.Timeout(seconds),
                    headers={"Content-Type": "application/json"} if body else {},
                    retries=False,
                    redirect=False,
                    preload_content=False,
                    decode_content=False,
                )
                with contextlib.closing(response):
                    content = self._read(response)
                    response.release_conn()
            except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
                is_late = isinstance(error, urllib3.exceptions.ReadTimeoutError)
                if limit.passed or is_late:
                    raise late from error
                raise
        if limit.passed:
            raise late
        return response, content

    def _read(self, response):
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding != "identity":
            raise RequestError(
                f"{self._url} sent a compressed answer ({encoding}), which was not "
                "asked for."
            )
        content = bytearray()
        while part := response.read(2**20):
            content += part
            if len(content) > self._max_bytes:
                raise RequestError(
                    f"The answer has more than {self._max_bytes} bytes. Ask for fewer "
                    "images at once."
                )
        return bytes(content)

    def _reason(self, error):
        reason = getattr(error, "reason", None) or error
        return f"{self._url} cannot be reached or cuts its answers: {reason}"


_UNREACHABLE = (
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.ProxyError,
)
_REPEATABLE = (*_UNREACHABLE, urllib3.exceptions.ProtocolError)


class _TimeLimit:
    """Shuts the connection of this thread's request when its time is over.

    A timeout of a socket starts anew with each byte, so that a server that sends one
    now and then would never meet it.
    """

    def __init__(self, seconds):
        self.passed = False
        self._lock, self._socket = threading.Lock(), None
        self._timer = threading.Timer(seconds, self._pass)
        self._timer.daemon = True

    def __enter__(self):
        _thread.limit = self
        self._timer.start()
        return self

    def __exit__(self, *error):
        self._timer.cancel()
        with self._lock:
            self._socket = None

    def hold(self, connected):
        """Takes the socket to shut."""
        with self._lock:
            self._socket = connected

    def _pass(self):
        with self._lock:
            self.passed = True
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    # Not the method of a TLS socket, which is not safe for threads.
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


class _HttpConnection(urllib3.connection.HTTPConnection):
    def getresponse(self):
        _thread.limit.hold(self.sock)
        return super().getresponse()


class _HttpsConnection(urllib3.connection.HTTPSConnection):
    def getresponse(self):
        _thread.limit.hold(self.sock)
        return super().getresponse()


class _HttpPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection


def is_local(host):
    """Whether a host is this machine, which no proxy stands in front of."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _proxy(parts):
    """The proxy that the environment names for an address, or `None`."""
    if is_local(parts.hostname) or urllib.request.proxy_bypass(parts.hostname):
        return None
    return urllib.request.getproxies().get(parts.scheme)


def _seconds_to_wait(retries, response):
    if response is not None:
        with contextlib.suppress(urllib3.exceptions.InvalidHeader):
            # No more than an hour counts: in any case it is longer than a request.
            return retries.get_retry_after(response) or retries.get_backoff_time()
    return retries.get_backoff_time()


def _text(content):
    """The start of an answer, fit for a message."""
    return " ".join(content[:500].decode(errors="replace").split())
