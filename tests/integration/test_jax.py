"""The library on JAX: it needs no TensorFlow, trains, and agrees with TensorFlow."""

import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_concatplexer as kcp

FOLDER = pathlib.Path(__file__).parent
sys.path.insert(0, str(FOLDER))
import jax_script  # noqa: E402

pytest.importorskip("jax")
pytest.importorskip("keras_hub")


def rows(names):
    """The names as parameters, those that are not quick marked as large."""
    return [
        name
        if name in jax_script.QUICK
        else pytest.param(name, marks=pytest.mark.large)
        for name in names
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, request):
    folder = tmp_path_factory.mktemp("jax")
    root = FOLDER.parents[1]
    # One process for what was selected: to start it is dear.
    selected = [item for item in request.session.items if item.module is request.module]
    is_large = any(item.get_closest_marker("large") for item in selected)
    names = (*jax_script.MODELS, *jax_script.ENCODERS)
    names = names if is_large else jax_script.QUICK
    subprocess.run(
        [sys.executable, str(FOLDER / "jax_script.py"), str(folder), *names],
        env={
            **os.environ,
            "KERAS_BACKEND": "jax",
            "PYTHONPATH": str(root),
            # Compiling takes most of the time, and each program runs once.
            "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        },
        check=True,
        timeout=600,
    )
    return folder


@pytest.fixture(scope="module")
def results(folder):
    with np.load(folder / "results.npz") as file:
        return dict(file)


def test_import_needs_no_optional_package(results):
    assert results["backend"] == "jax"
    assert list(results["imported"]) == []


def test_operations_are_counted(results):
    assert results["counted"]


def test_a_program_for_any_batch_size_has_groups(results):
    # `model.export` makes such programs.
    np.testing.assert_array_equal(results["grouped"].ravel(), np.arange(60))


def test_every_layer_has_a_row():
    layers = {name for name in kcp.layers.__all__ if _is_layer(name)}
    assert layers <= set(jax_script.LAYERS), "Add the missing ones to LAYERS."


def _is_layer(name):
    return issubclass(getattr(kcp.layers, name), keras.layers.Layer)


@pytest.mark.parametrize("name", jax_script.LAYERS)
def test_layer_agrees(name, results):
    expected = jax_script.layer_output(name)
    output = results[f"layer/{name}"]
    np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", rows(jax_script.TRAINED))
def test_training_moves_every_weight(name, results):
    assert (results[f"{name}/moved"] > 0).all()


@pytest.mark.parametrize("name", rows(jax_script.MODELS))
def test_model_agrees(name, results):
    model = jax_script.make_model(name)
    num_weights = len(model.weights)
    model.set_weights([results[f"{name}/weight/{i}"] for i in range(num_weights)])
    logits = model.predict(jax_script.make_images(model), verbose=0)
    np.testing.assert_allclose(logits, results[f"{name}/logits"], atol=1e-4)


@pytest.mark.parametrize("name", rows(jax_script.MODELS))
def test_file_of_one_backend_loads_on_the_other(name, folder, results):
    model = keras.saving.load_model(folder / f"{name}.keras")
    logits = model.predict(jax_script.make_images(model), verbose=0)
    np.testing.assert_allclose(logits, results[f"{name}/logits"], atol=1e-4)


@pytest.mark.parametrize("kind", rows(jax_script.ENCODERS))
def test_an_encoder_is_keras_hubs_own(kind, results):
    own, wrapped = results[f"encoder/{kind}"]
    assert np.abs(own[0] - own[1]).max() > 0.1
    np.testing.assert_allclose(wrapped, own, atol=1e-5)


def test_neighbours_agree(folder, results):
    model = keras.saving.load_model(folder / "concat_group.keras")
    found = jax_script.neighbours(model)
    assert found[1] > 0
    np.testing.assert_allclose(found, results["neighbours"], atol=1e-4)


@pytest.mark.parametrize("grid_shape", [(7, 9), (2, 3)])
def test_interpolation_agrees(grid_shape, results):
    expected = jax_script.resized_positions(grid_shape)
    np.testing.assert_allclose(results[f"positions/{grid_shape}"], expected, atol=1e-5)
