"""Classification of image files by a server."""

import collections
import concurrent.futures

import numpy as np

from savedmodel_export.client.answers import ANSWER, SERVER, RequestError
from savedmodel_export.client.inputs import UnreadableError, read_image

SIGNATURE = "serve_bytes"
# A server that fails at so many images one after the other has failed altogether.
MAX_FAILURES = 10
# Files that are tried to learn whether a model mixes images, and the share of the
# largest logit by which the answer must change. bfloat16 alone may change a third.
PROBED_FILES = 16
MIXED = 0.01


class Classification:
    """Asks a server about image files, several requests at once.

    A batch that fails is asked again image by image, so that only the image at fault
    gets the error.

    Args:
        client: `RestClient`, `GrpcClient` or `AdaptiveClient`.
        batch_size: int. Images per request.
        concurrency: int. The most requests in flight.
    """

    def __init__(self, client, batch_size, concurrency=1):
        self._client = client
        self._batch_size, self._concurrency = batch_size, concurrency
        self._failures = 0

    def rows(self, paths, done=frozenset()):
        """Yields one list of rows per batch, in order.

        A row is a dict with `file` and either `class`, `class_id` and `probability`,
        or `features` of a model without classes, or `error`.

        Args:
            paths: sequence of paths.
            done: set of str. A batch of which all are in here is skipped; the others
                stay what they are, for their images may change each other's answers.

        Raises:
            RequestError: if the server cannot be reached, does not know the model, or
                fails at `MAX_FAILURES` images in a row.
        """
        starts = range(0, len(paths), self._batch_size)
        batches = (paths[start : start + self._batch_size] for start in starts)
        pool = concurrent.futures.ThreadPoolExecutor(self._concurrency)
        # No more than what can be in flight, so that files are not read long before.
        waiting = collections.deque()
        try:
            for batch in batches:
                if all(str(path) in done for path in batch):
                    continue
                if len(waiting) == self._concurrency:
                    yield self._next(waiting)
                waiting.append((batch, pool.submit(self._classify, batch)))
            while waiting:
                yield self._next(waiting)
        finally:
            pool.shutdown(cancel_futures=True)

    def _next(self, waiting):
        paths, future = waiting.popleft()
        try:
            rows = future.result()
        except RequestError as error:
            if error.fault == SERVER:
                raise
            # A server that joins requests refuses all that it joined to a corrupt
            # image: with nothing else in flight each image is alone.
            concurrent.futures.wait([other for _, other in waiting])
            return [self._classify_one(path) for path in paths]
        self._failures = 0
        return rows

    def _classify_one(self, path):
        try:
            (row,) = self._classify([path])
        except RequestError as error:
            if error.fault == SERVER:
                raise
            self._failures += 1 if error.fault == ANSWER else -self._failures
            if self._failures >= MAX_FAILURES:
                raise RequestError(
                    f"The server failed at {self._failures} images in a row: {error}",
                    SERVER,
                ) from error
            return {"file": str(path), "error": " ".join(str(error).split())}
        self._failures = 0
        return row

    def _classify(self, paths):
        rows = {path: {"file": str(path)} for path in paths}
        contents = {}
        for path in paths:
            try:
                contents[path] = read_image(path)
            except UnreadableError as error:
                rows[path]["error"] = str(error)
        if contents:
            answers = _ask(self._client, list(contents.values()), SIGNATURE)
            for path, answer in zip(contents, answers, strict=True):
                rows[path].update(answer)
        return list(rows.values())


def mixed_by(client, paths, signature=SIGNATURE):
    """Returns how much an image's answer depends on another one beside it.

    Asks about one file alone and together with a second one.

    Args:
        client: `RestClient` or `GrpcClient`.
        paths: sequence of paths.
        signature: str.

    Returns:
        float, the largest change of a logit, or feature, as a share of the largest
        one; 0 if it is no more than rounding, or no two files can be read.

    Raises:
        RequestError: if the server cannot be reached or does not know the model.
    """
    alone = {}
    for path in paths[:PROBED_FILES]:
        try:
            content = read_image(path)
            outputs = client.predict({"image_bytes": [content]}, signature)
            alone[content] = _values(outputs)
        except (UnreadableError, KeyError):
            continue
        except RequestError as error:
            if error.fault == SERVER:
                raise
            continue
        if len(alone) == 2:
            try:
                outputs = client.predict({"image_bytes": list(alone)}, signature)
                return _change(_values(outputs), np.concatenate(list(alone.values())))
            except (RequestError, KeyError, ValueError):
                return 0.0
    return 0.0


def _change(together, alone):
    change = np.abs(together - alone).max() / max(np.abs(alone).max(), 1e-9)
    return float(change) if change > MIXED else 0.0


def _values(outputs):
    return outputs["logits" if "logits" in outputs else "features"]


def _ask(client, contents, signature):
    outputs = client.predict({"image_bytes": contents}, signature)
    if set(outputs) == {"features"}:
        return [{"features": values} for values in outputs["features"].tolist()]
    missing = {"classes", "class_ids", "probabilities"} - set(outputs)
    if missing:
        raise RequestError(
            f"The answer has no {', '.join(sorted(missing))}: is the model one of "
            "savedmodel_export?",
            SERVER,
        )
    return [
        {
            "class": str(name),
            "class_id": int(class_id),
            "probability": float(probabilities[class_id]),
        }
        for name, class_id, probabilities in zip(
            outputs["classes"],
            outputs["class_ids"],
            outputs["probabilities"],
            strict=True,
        )
    ]
