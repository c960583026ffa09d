"""Classifies a directory of images by a server.

`python -m savedmodel_export.client IMAGES --model=NAME --output=answers.jsonl`

The files are sent as they are, in batches, to the signature `serve_bytes`. Each gives
one line: its name, the class, the class's number and probability, or the error.

With `--adaptive --target_p95_ms=200 --concurrency=8` an elastic model is asked at the
N that keeps the 95th percentile of the latency below the target.
"""

import contextlib
import csv
import json
import sys

from absl import app, flags

from savedmodel_export.client.adaptive_client import AdaptiveClient, served_num_mux
from savedmodel_export.client.adaptive_policy import AdaptivePolicy
from savedmodel_export.client.image_files import FIELDS, classify_files, find_images
from savedmodel_export.client.retry import RequestError


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
        from savedmodel_export.client.grpc_client import GrpcClient

        return GrpcClient(values.grpc, values.model, **chosen)
    from savedmodel_export.client.rest_client import RestClient

    return RestClient(values.rest, values.model, **chosen)


def make_adaptive(client, values):
    """Returns the client with the policy that the flags ask for.

    Raises:
        ValueError: if flags contradict each other, or the model is not elastic.
    """
    if not values.adaptive:
        for name in ("target_p95_ms", "num_mux"):
            if getattr(values, name) is not None:
                raise ValueError(f"--{name} needs --adaptive.")
        return client
    if values.target_p95_ms is None:
        raise ValueError("--adaptive needs --target_p95_ms, in milliseconds.")
    wanted = values.num_mux or []
    if not all(n.isdecimal() for n in wanted):
        raise ValueError(f"Expected --num_mux=1,2,4. Received: {','.join(wanted)}")
    num_mux = _choose_num_mux(client, [int(n) for n in wanted])
    policy = AdaptivePolicy(
        num_mux, values.target_p95_ms, concurrency=values.concurrency
    )
    return AdaptiveClient(client, policy)


def _choose_num_mux(client, wanted):
    try:
        served = served_num_mux(client, "serve_bytes")
    except RequestError as error:
        if wanted:
            # A proxy may hide what the server has; then the flag is all there is.
            return wanted
        raise ValueError(
            f"The server does not tell its signatures ({error}); name the N that the "
            "model serves: --num_mux=1,2,4"
        ) from error
    if not set(wanted) <= set(served):
        raise ValueError(f"--num_mux={wanted}, but the model serves N = {served}.")
    return wanted or served


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
            contextlib.closing(make_client(values)) as plain_client,
            open_writer(values.output) as write,
        ):
            client = make_adaptive(plain_client, values)
            rows = classify_files(client, paths, values.batch_size, values.concurrency)
            console = Console(stderr=True)
            for row in track(rows, "classifying", len(paths), console=console):
                write(row)
                failed += "error" in row
            if values.adaptive:
                console.print(client.summary())
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
    flags.DEFINE_integer("concurrency", 1, "Requests in flight.", lower_bound=1)
    flags.DEFINE_bool("adaptive", False, "Pick the N of an elastic model by the load.")
    flags.DEFINE_float("target_p95_ms", None, "p95 of the latency to stay below.")
    flags.DEFINE_list("num_mux", None, "The N to pick from; by default all served.")
    flags.DEFINE_string("output", "-", "File: *.csv, else JSON lines; -: stdout.")
    flags.DEFINE_float("timeout", 60.0, "Seconds to wait for an answer.")
    flags.DEFINE_integer("retries", 5, "Times to ask a busy server.", lower_bound=0)


if __name__ == "__main__":
    _define_flags()
    app.run(main)
