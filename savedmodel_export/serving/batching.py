"""Batch sizes that the server may form, and its file that says so."""

import pathlib

from keras_concatplexer.arguments import positive_int

FILE_NAME = "batching_params.pbtxt"
BATCH_TIMEOUT_MICROS = 1000
MAX_ENQUEUED_BATCHES = 64


def allowed_batch_sizes(max_batch_size, multiple_of=1):
    """Returns batch sizes to pad to: powers of two times `multiple_of`, and the last.

    Args:
        max_batch_size: int. No size is larger.
        multiple_of: int. Every size is a multiple: the images of a group.

    Raises:
        ValueError: if `max_batch_size` is below `multiple_of`.
    """
    positive_int("max_batch_size", max_batch_size)
    largest = max_batch_size // multiple_of * multiple_of
    if largest == 0:
        raise ValueError(
            f"`max_batch_size` must be at least {multiple_of}, the images of a group. "
            f"Received: max_batch_size={max_batch_size}"
        )
    sizes, size = [], multiple_of
    while size < largest:
        sizes.append(size)
        size *= 2
    return [*sizes, largest]


def write_batching_params(folder, batch_sizes):
    """Writes the file that a server with per-model batching parameters reads.

    It holds what the server takes from the version's folder; the number of threads
    is the server's own (`--batching_parameters_file`).
    """
    values = {
        "max_batch_size": batch_sizes[-1],
        "batch_timeout_micros": BATCH_TIMEOUT_MICROS,
        "max_enqueued_batches": MAX_ENQUEUED_BATCHES,
    }
    lines = [f"{name} {{ value: {value} }}" for name, value in values.items()]
    lines += [f"allowed_batch_sizes: {size}" for size in batch_sizes]
    (pathlib.Path(folder) / FILE_NAME).write_text("\n".join(lines) + "\n")
