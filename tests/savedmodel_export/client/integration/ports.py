"""Ports of servers that tests start."""

import socket
import time


def free_port():
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return listener.getsockname()[1]


def wait_for(ports):
    deadline = time.monotonic() + 120
    for port in ports:
        while True:
            assert time.monotonic() < deadline, "the server did not start"
            try:
                socket.create_connection(("localhost", port), 1).close()
                break
            except OSError:
                time.sleep(0.2)
