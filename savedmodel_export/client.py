"""Classifies a directory of images by a server.

`python -m savedmodel_export.client IMAGES --model=NAME --output=answers.jsonl`

The files are sent as they are, in batches, to the signature `serve_bytes`. Each gives
one line: its name, the class, the class's number and probability, or the error.
"""

import contextlib
import csv
import json
import pathlib
import sys

from absl import app, flags

from savedmodel_export.retry import RequestError

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


def classify_files(client, paths, batch_size):
    """Yields a dict of `FIELDS` per image file, in order.

    A batch that the server refuses because of an image is asked again image by image,
    so that only the image at fault gets the error.

    Args:
        client: `RestClient` or `GrpcClient`.
        paths: sequence of paths.
        batch_size: int. Images per request.

    Raises:
        RequestError: if the server cannot be reached or refuses for another reason.
    """
    for start in range(0, len(paths), batch_size):
        batch = paths[start : start + batch_size]
        try:
            yield from _classify(client, batch)
        except RequestError as error:
            if not error.invalid_argument:
                raise
            for path in batch:
                yield _classify_one(client, path)


def _classify(client, paths):
    contents = [path.read_bytes() for path in paths]
    outputs = client.predict({"image_bytes": contents}, "serve_bytes")
    rows = zip(
        *(paths, outputs["classes"], outputs["class_ids"], outputs["probabilities"]),
        strict=True,
    )
    # A list, so that no row comes out before all have come in.
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


@contextlib.contextmanager
def open_writer(output):
    """Yields a function that writes one row: CSV for `*.csv`, else JSON lines.

    Args:
        output: path, or `"-"` for the standard output.
    """
    with contextlib.ExitStack() as stack:
        if output == "-":
            file = sys.stdout
        else:
            file = stack.enter_context(open(output, "w", newline="", encoding="utf-8"))
        if output.lower().endswith(".csv"):
            writer = csv.DictWriter(file, FIELDS, restval="")
            writer.writeheader()
            yield writer.writerow
        else:
            yield lambda row: print(json.dumps(row), file=file, flush=True)


def make_client(values):
    """Returns the client that the flags ask for."""
    chosen = {
        "label": values.label,
        "version": values.model_version,
        "timeout": values.timeout,
        "retries": values.retries,
    }
    if values.grpc:
        from savedmodel_export.grpc_client import GrpcClient

        return GrpcClient(values.grpc, values.model, **chosen)
    from savedmodel_export.rest_client import RestClient

    return RestClient(values.rest, values.model, **chosen)


def main(argv):
    """Classifies the images of the folder that is the one argument."""
    from rich.console import Console
    from rich.progress import track

    if len(argv) != 2:
        raise app.UsageError("Expected one argument, the folder of the images.")
    values, failed = flags.FLAGS, 0
    try:
        paths = find_images(argv[1])
        with (
            contextlib.closing(make_client(values)) as client,
            open_writer(values.output) as write,
        ):
            rows = classify_files(client, paths, values.batch_size)
            console = Console(stderr=True)
            for row in track(rows, "classifying", len(paths), console=console):
                write(row)
                failed += "error" in row
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")
    if failed:
        sys.exit(f"error: {failed} of {len(paths)} images were refused, see the output")


def _define_flags():
    flags.DEFINE_string("model", None, "Name of the model.", required=True)
    flags.DEFINE_string("rest", "http://localhost:8501", "Address of the REST API.")
    flags.DEFINE_string("grpc", None, "host:port of the gRPC API, in place of REST.")
    flags.DEFINE_string("label", None, "Version label: stable or canary.")
    flags.DEFINE_integer("model_version", None, "Version; the newest by default.")
    flags.DEFINE_integer("batch_size", 8, "Images per request.", lower_bound=1)
    flags.DEFINE_string("output", "-", "File: *.csv, else JSON lines; -: stdout.")
    flags.DEFINE_float("timeout", 60.0, "Seconds to wait for an answer.")
    flags.DEFINE_integer("retries", 5, "Times to ask a busy server.", lower_bound=0)


if __name__ == "__main__":
    _define_flags()
    app.run(main)
