"""The command of the client: its flags and what it does."""

import contextlib
import os
import sys
import time

from absl import flags

from savedmodel_export.client.adaptive_client import (
    SIGNATURES,
    AdaptiveClient,
    served_num_mux,
)
from savedmodel_export.client.adaptive_policy import AdaptivePolicy
from savedmodel_export.client.answers import RequestError
from savedmodel_export.client.classification import Classification, mixed_by
from savedmodel_export.client.inputs import find_images
from savedmodel_export.client.rest_client import RestClient
from savedmodel_export.client.table import StandardOutput, Table
from savedmodel_export.command import define_path, topic

# Seconds between two looks whether a server has loaded the model.
LOOK = 0.5
# The most that a flag of seconds, or milliseconds, takes.
LONGEST = 10**6


def define_flags():
    """Defines the command's flags. Another command may have some of the same name."""
    with topic("Server"):
        flags.DEFINE_string(
            "rest", "http://localhost:8501", "Address of the REST API, http or https."
        )
        flags.DEFINE_string(
            "grpc", None, "host:port of the gRPC API, in place of REST."
        )
        flags.DEFINE_bool("tls", False, "Speak TLS to the gRPC API.")
        define_path("root_certificates", None, "PEM file of the authorities to trust.")
        flags.DEFINE_float(
            "wait_seconds",
            0.0,
            "Wait so long for a server that loads.",
            lower_bound=0.0,
        )
        flags.DEFINE_float(
            "timeout",
            60.0,
            "Seconds for an answer, repeats included.",
            lower_bound=0.001,
        )
        flags.DEFINE_integer(
            "retries",
            4,
            "Repeats of a request that failed.",
            lower_bound=0,
            upper_bound=4,
        )
    with topic("Model"):
        flags.DEFINE_string("model", None, "Name of the model.", required=True)
        flags.DEFINE_string("label", None, "Version label: stable or canary.")
        flags.DEFINE_integer("model_version", None, "Version; the newest by default.")
    with topic("Load"):
        flags.DEFINE_integer("batch_size", 8, "Images per request.", lower_bound=1)
        flags.DEFINE_integer("concurrency", 1, "Requests in flight.", lower_bound=1)
        flags.DEFINE_bool(
            "adaptive", False, "Pick the N of an elastic model by the load."
        )
        flags.DEFINE_float("target_p95_ms", None, "p95 of the latency to stay below.")
        flags.DEFINE_list("num_mux", None, "The N to pick from; by default all served.")
    with topic("Output"):
        define_path("output", "-", "New file: *.csv, else JSON lines; -: stdout.")


def main(*images):
    """Classifies image files and folders of them."""
    values = flags.FLAGS
    try:
        failed, total = _run(images, values)
    except (OSError, ValueError) as error:
        if isinstance(error, BrokenPipeError):
            # Whoever read the standard output has enough.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(141)
        sys.exit(f"error: {error}{_how_to_go_on(values, str(error))}")
    except KeyboardInterrupt:
        print(f"interrupted{_how_to_go_on(values)}", file=sys.stderr)
        return 130
    if failed:
        where = "the output"
        if values.output != "-":
            where = Table.errors_path_of(values.output)
        sys.exit(f"error: {failed} of {total} files were not classified, see {where}")
    return 0


def _run(arguments, values):
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    check_flags(values)
    paths, unread = find_images(arguments)
    names = [*map(str, paths), *(str(path) for path, _ in unread)]
    with contextlib.ExitStack() as stack:
        table = stack.enter_context(contextlib.closing(_open_table(values)))
        plain = stack.enter_context(contextlib.closing(make_client(values)))
        if values.wait_seconds:
            wait_until_served(plain, values.wait_seconds)
        client, signature = make_adaptive(plain, values)
        mixed = mixed_by(plain, paths, signature)
        if mixed:
            console.print(
                f"warning: the model mixes the images of a request: another image "
                f"beside it changed an answer by {mixed:.0%}. The answers hold for "
                f"these files in this order, by {values.batch_size}.",
                highlight=False,
            )
        if table.done:
            console.print(f"{len(table.done)} files are done.", highlight=False)
        table.write([{"file": str(p), "error": reason} for p, reason in unread])
        batches = Classification(client, values.batch_size, values.concurrency).rows(
            paths, table.done
        )
        total = -(-len(paths) // values.batch_size)
        for rows in track(batches, "classifying", total, console=console):
            table.write(rows)
        failed = table.finish(names)
        if values.adaptive:
            console.print(client.summary())
    return failed, len(names)


def _open_table(values):
    if values.output == "-":
        return StandardOutput(sys.stdout)
    settings = {
        "model": values.model,
        "label": values.label,
        "model_version": values.model_version,
        "batch_size": values.batch_size,
        "num_mux": values.num_mux,
        "adaptive": values.adaptive,
    }
    return Table(values.output, settings)


def _how_to_go_on(values, said=""):
    journal = f"{values.output}.partial"
    # An error of the journal says itself what to do with it.
    if values.output == "-" or journal in said or not os.path.exists(journal):
        return ""
    return f"; what is done stands in {journal}: run it again to go on"


def check_flags(values):
    """Raises ValueError if flags contradict each other, or have no use."""
    if not values.model:
        raise ValueError("--model must name a model.")
    if values.label and values.model_version is not None:
        raise ValueError("--label and --model_version name two versions: give one.")
    if values.root_certificates and not (
        values.tls if values.grpc else values.rest.startswith("https://")
    ):
        raise ValueError("--root_certificates needs --rest=https://... or --tls.")
    for name in ("timeout", "wait_seconds", "target_p95_ms"):
        value = getattr(values, name)
        if value is not None and not 0 <= value <= LONGEST:
            raise ValueError(
                f"--{name} must be a number from 0 to {LONGEST}. Received: {value}"
            )
    if not values.adaptive:
        for name in ("target_p95_ms", "num_mux"):
            if getattr(values, name) is not None:
                raise ValueError(f"--{name} needs --adaptive.")
    elif values.target_p95_ms is None:
        raise ValueError("--adaptive needs --target_p95_ms, in milliseconds.")
    if not all(n.isdecimal() for n in values.num_mux or []):
        raise ValueError(
            f"Expected --num_mux=1,2,4. Received: {','.join(values.num_mux)}"
        )
    if values.tls and not values.grpc:
        raise ValueError("--tls needs --grpc; REST speaks it with --rest=https://...")


def make_client(values):
    """Returns the client that the flags ask for."""
    chosen = {
        "label": values.label,
        "version": values.model_version,
        "timeout": values.timeout,
        "retries": values.retries,
    }
    if values.root_certificates:
        chosen["root_certificates"] = values.root_certificates
    if values.grpc:
        from savedmodel_export.client.grpc_client import GrpcClient

        return GrpcClient(values.grpc, values.model, tls=values.tls, **chosen)
    return RestClient(values.rest, values.model, **chosen)


def wait_until_served(client, seconds, clock=time.monotonic, sleep=time.sleep):
    """Waits until a server tells the signatures of the model.

    Raises:
        RequestError: the last one, if the time is over.
    """
    end = clock() + seconds
    while True:
        try:
            client.signatures()
            return
        except RequestError as error:
            if clock() + LOOK >= end:
                raise RequestError(
                    f"The model is not served after {seconds:g} s: {error}", error.fault
                ) from error
        sleep(LOOK)


def make_adaptive(client, values):
    """Returns the client that picks N if the flags ask for it, and a signature.

    The signature is the one with the greatest N that may be asked.

    Raises:
        ValueError: if the model is not elastic, or lacks an N that the flags name.
    """
    if not values.adaptive:
        return client, "serve_bytes"
    num_mux = _choose_num_mux(client, [int(n) for n in values.num_mux or []])
    policy = AdaptivePolicy(
        num_mux, values.target_p95_ms, concurrency=values.concurrency
    )
    signature = SIGNATURES["serve_bytes"].format(num_mux[-1])
    return AdaptiveClient(client, policy), signature


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
