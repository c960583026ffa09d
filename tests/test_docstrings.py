"""The examples in the docstrings are run as they stand."""

import doctest
import importlib
import inspect
import pathlib
import pkgutil
import re

import numpy as np
import pytest

import keras_concatplexer as kcp

MODULES = [
    module.name for module in pkgutil.walk_packages(kcp.__path__, f"{kcp.__name__}.")
]

# What names in the API reference begin with, where they are whole.
PACKAGES = (f"{kcp.__name__}.", "savedmodel_export.")


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


def public():
    """The functions and classes of the API reference, by their names there."""
    text = (pathlib.Path(__file__).parents[1] / "docs" / "api.md").read_text()
    module = ""
    for kind, name in re.findall(
        r"(currentmodule|autoclass|autofunction):: (\S+)", text
    ):
        if kind == "currentmodule":
            module = f"{name}."
            continue
        yield name if name.startswith(PACKAGES) else module + name


@pytest.mark.parametrize("path", public())
def test_public_names_have_types(path):
    module, _, name = path.rpartition(".")
    found = getattr(importlib.import_module(module), name)
    untyped = [
        parameter.name
        for parameter in inspect.signature(found).parameters.values()
        if parameter.annotation is parameter.empty
        and parameter.kind is not parameter.VAR_KEYWORD
    ]
    assert untyped == []
