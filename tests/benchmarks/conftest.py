"""A data set and a ViT small enough for many trainings."""

import numpy as np
import pytest

import keras_concatplexer as kcp
from benchmarks.accuracy.arrays import RawArrays

TINY = kcp.vit.ViTSize(
    hidden_dim=16, num_layers=2, num_heads=2, mlp_dim=16, patch_size=2
)


@pytest.fixture(scope="session")
def tiny_size():
    return TINY


@pytest.fixture(scope="session")
def tiny_raw():
    rng = np.random.default_rng(0)
    return RawArrays(
        "tiny",
        rng.integers(256, size=(64, 8, 8, 1), dtype="uint8"),
        rng.integers(4, size=64),
        rng.integers(256, size=(32, 8, 8, 1), dtype="uint8"),
        rng.integers(4, size=32),
        num_classes=4,
        side=8,
    )


@pytest.fixture(scope="session")
def tiny_arrays(tiny_raw):
    return tiny_raw.prepare()
