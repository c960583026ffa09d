"""A runtime in a process of its own, driven by messages over a pipe.

Two runtimes in one process would share thread pools and memory, and some cannot be
loaded together at all.
"""

import importlib
import multiprocessing
import pathlib
import re
import resource


class WorkerError(RuntimeError):
    """A worker's method failed, or its process ended; the message tells why."""


class Worker:
    """A remote object.

    Args:
        target: str, `"module:Class"`. Imported in the new process only.
        *arguments: of the class.
    """

    def __init__(self, target, *arguments):
        self._pipe, pipe = multiprocessing.Pipe()
        # Forking would copy whatever threads and locks this process has.
        self._process = multiprocessing.get_context("spawn").Process(
            target=_serve, args=(pipe, target, arguments), daemon=True
        )
        self._process.start()
        pipe.close()
        try:
            self._answer()
        except WorkerError:
            self._process.join()
            raise

    def call(self, method, *arguments):
        """Calls a method there and returns what it returns.

        Raises:
            WorkerError: if it raises, or the process has ended.
        """
        self._pipe.send((method, arguments))
        return self._answer()

    def close(self):
        """Ends the process."""
        self._pipe.close()
        self._process.join(timeout=10)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _answer(self):
        try:
            failed, answer = self._pipe.recv()
        except EOFError:
            self._process.join(timeout=10)
            raise WorkerError(
                f"The process ended, exit code {self._process.exitcode}"
            ) from None
        if failed:
            raise WorkerError(answer)
        return answer


def peak_memory():
    """Largest resident size that this process ever had, in bytes."""
    status = pathlib.Path("/proc/self/status")
    if status.is_file():
        # Unlike `ru_maxrss`, this does not begin at the size of the parent.
        return 1024 * int(re.search(r"VmHWM:\s*(\d+) kB", status.read_text())[1])
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _serve(pipe, target, arguments):
    module, _, name = target.partition(":")
    served = None

    def start():
        nonlocal served
        served = getattr(importlib.import_module(module), name)(*arguments)

    _reply(pipe, start)
    while served is not None:
        try:
            method, given = pipe.recv()
        except EOFError:  # The parent has closed its end.
            return
        _reply(pipe, getattr(served, method), *given)


def _reply(pipe, function, *arguments):
    try:
        answer = False, function(*arguments)
    except Exception as error:  # noqa: BLE001 (the parent decides)
        text = str(error).strip().splitlines()
        answer = True, f"{type(error).__name__}: {text[0] if text else ''}"
    pipe.send(answer)
