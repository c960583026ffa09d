"""The examples in the docstrings are run as they stand."""

import doctest
import importlib
import pkgutil

import numpy as np
import pytest

import keras_concatplexer as kcp

MODULES = [
    module.name for module in pkgutil.walk_packages(kcp.__path__, f"{kcp.__name__}.")
]


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    module = importlib.import_module(name)
    # What a reader has imported: numpy, the package and its public names.
    names = {"np": np, "kcp": kcp, **vars(kcp), **vars(kcp.layers), **vars(kcp.vit)}
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    for test in doctest.DocTestFinder().find(module, globs={**names, **vars(module)}):
        runner = doctest.DocTestRunner(optionflags=flags)
        runner.run(test)
        assert runner.failures == 0, test.name


def test_there_are_examples():
    found = doctest.DocTestFinder().find(kcp.layers.ConcatMultiplexer)
    assert sum(len(test.examples) for test in found) > 0
