"""Classification of the image files of a folder by a server."""

import collections
import concurrent.futures
import pathlib

from savedmodel_export.client.retry import RequestError

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")
FIELDS = ("file", "class", "class_id", "probability", "error")


def find_images(folder):
    """Returns the sorted paths of the image files under a folder.

    Raises:
        ValueError: if there are none.
    """
    paths = sorted(
        path
        for path in pathlib.Path(folder).rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file()
    )
    if not paths:
        raise ValueError(f"{folder} holds no image ({', '.join(SUFFIXES)}).")
    return paths


def classify_files(client, paths, batch_size, concurrency=1):
    """Yields a dict of `FIELDS` per image file, in order.

    A batch that the server refuses because of an image is asked again image by image,
    so that only the image at fault gets the error.

    Args:
        client: `RestClient`, `GrpcClient` or `AdaptiveClient`.
        paths: sequence of paths.
        batch_size: int. Images per request.
        concurrency: int. The most requests in flight.

    Raises:
        RequestError: if the server cannot be reached or refuses for another reason.
    """
    batches = (
        paths[start : start + batch_size] for start in range(0, len(paths), batch_size)
    )
    with concurrent.futures.ThreadPoolExecutor(concurrency) as pool:
        # No more than what can be in flight, so that files are not read long before.
        waiting = collections.deque()
        for batch in batches:
            if len(waiting) == concurrency:
                yield from _next_rows(client, waiting)
            waiting.append((batch, pool.submit(_classify, client, batch)))
        while waiting:
            yield from _next_rows(client, waiting)


def _next_rows(client, waiting):
    paths, future = waiting.popleft()
    try:
        return future.result()
    except RequestError as error:
        if not error.invalid_argument:
            raise
        # A server that joins requests refuses all that it joined to a corrupt image:
        # with nothing else in flight each image is alone.
        concurrent.futures.wait([other for _, other in waiting])
        return [_classify_one(client, path) for path in paths]


def _classify(client, paths):
    contents = [path.read_bytes() for path in paths]
    outputs = client.predict({"image_bytes": contents}, "serve_bytes")
    rows = zip(
        *(paths, outputs["classes"], outputs["class_ids"], outputs["probabilities"]),
        strict=True,
    )
    return [
        {
            "file": str(path),
            "class": str(name),
            "class_id": int(class_id),
            "probability": float(probabilities[class_id]),
        }
        for path, name, class_id, probabilities in rows
    ]


def _classify_one(client, path):
    try:
        return _classify(client, [path])[0]
    except RequestError as error:
        if not error.invalid_argument:
            raise
        return {"file": str(path), "error": " ".join(str(error).split())}
