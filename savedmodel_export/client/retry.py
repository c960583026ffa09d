"""Requests that a busy server may be asked again."""

import random
import time

FIRST_WAIT = 0.1
LONGEST_WAIT = 10.0


class RequestError(ValueError):
    """The server refused a request, or could not be reached.

    Attributes:
        invalid_argument: bool. Whether the request itself was wrong, for example a
            corrupt image.
    """

    def __init__(self, message, invalid_argument=False):
        super().__init__(message)
        self.invalid_argument = invalid_argument


class Unavailable(Exception):
    """The server cannot answer now; it may in a moment.

    Attributes:
        wait: float or `None`. Seconds that the server asks to wait.
    """

    def __init__(self, message, wait=None):
        super().__init__(message)
        self.wait = wait


def with_retries(call, retries, sleep=time.sleep):
    """Returns what `call()` returns, asking again while it raises `Unavailable`.

    The waits double from `FIRST_WAIT` to `LONGEST_WAIT`, each shortened by chance, so
    that clients that failed together do not come back together.

    Raises:
        RequestError: if the last of `1 + retries` calls raises `Unavailable`.
    """
    for attempt in range(retries + 1):
        try:
            return call()
        except Unavailable as error:
            if attempt == retries:
                raise RequestError(
                    f"No answer after {retries + 1} attempts: {error}"
                ) from error
            wait = min(LONGEST_WAIT, FIRST_WAIT * 2**attempt)
            sleep(max(error.wait or 0.0, wait * random.uniform(0.5, 1.0)))
