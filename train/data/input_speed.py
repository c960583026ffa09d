"""How fast the training data comes, without a model."""

import time

from .augmentation import Augmentation
from .data import load_data

WARMUP_BATCHES = 10
MIN_SECONDS = 3.0


def input_images_per_second(config, min_seconds=MIN_SECONDS):
    """Reads training batches of a `Config` and returns images/s.

    Raises:
        ValueError: as `load_data`.
    """
    config.check()
    data = load_data(config)
    augmentation = Augmentation.of(config, data.preprocessor)
    # Never-ending, as the epochs of a long run.
    batches = iter(
        data.training_batches(config.batch_size, config.seed, augmentation, 1 << 40)
    )
    for _ in range(WARMUP_BATCHES):
        next(batches)
    num_images, started = 0, time.perf_counter()
    while (seconds := time.perf_counter() - started) < min_seconds:
        num_images += len(next(batches)[1])
    return num_images / seconds
