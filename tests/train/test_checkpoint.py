import json

import keras
import numpy as np
import pytest

import keras_concatplexer as kcp
from train.checkpoint import (
    Checkpoints,
    Progress,
    checkpoint_bytes,
    state_variables,
)


@pytest.fixture
def variables():
    """The state of a small trained model, one weight in bfloat16."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile(keras.optimizers.AdamW(0.1), keras.losses.MeanSquaredError())
    model.fit(np.ones((8, 3)), np.ones((8, 2)), verbose=0)
    half = keras.Variable([1.5, 2.0], dtype="bfloat16")
    return [*state_variables(model, model.optimizer), half]


def arrays(variables):
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def progress_after(epochs):
    progress = Progress()
    for epoch in range(epochs):
        progress.add({"loss": np.float32(epoch)}, steps=epoch + 1, seconds=0.5)
    return progress


def spoil(variables):
    for variable in variables:
        variable.assign(keras.ops.zeros_like(variable))


def test_a_checkpoint_brings_everything_back(variables, tmp_path):
    expected = arrays(variables)
    progress = progress_after(2)
    progress.best = 0.75
    Checkpoints(tmp_path).save(variables, progress)
    spoil(variables)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.restore(variables)
    for ours, theirs in zip(arrays(variables), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert checkpoints.progress() == progress
    assert progress.history == {"loss": [0.0, 1.0]}
    assert (progress.epochs, progress.steps, progress.seconds) == (2, 2, 1.0)


def test_a_new_workdir_starts_from_nothing(variables, tmp_path):
    expected = arrays(variables)
    checkpoints = Checkpoints(tmp_path / "none")
    checkpoints.restore(variables)
    np.testing.assert_array_equal(arrays(variables)[0], expected[0])
    assert checkpoints.progress() == Progress()


def test_the_two_newest_are_kept(variables, tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for epoch in (9, 10, 9_999, 10_000):
        checkpoints.save(variables, Progress(epochs=epoch))
    names = [folder.name for folder in checkpoints.complete()]
    assert names == ["epoch_10000", "epoch_9999"]


@pytest.mark.parametrize("file", ["state.npz", "progress.json"])
@pytest.mark.parametrize("damage", ["cut", "empty", "missing"])
def test_a_damaged_checkpoint_never_loads(variables, tmp_path, file, damage):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(variables, progress_after(1))
    expected = arrays(variables)
    spoil(variables)
    checkpoints.save(variables, progress_after(2))
    path = tmp_path / "checkpoints" / "epoch_0002" / file
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(content[: len(content) // 2] if damage == "cut" else b"")
    assert checkpoints.progress().epochs == 1
    checkpoints.restore(variables)
    np.testing.assert_array_equal(arrays(variables)[0], expected[0])


def test_a_death_during_the_write_leaves_the_one_before(
    variables, tmp_path, monkeypatch
):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(variables, progress_after(1))

    def dies(*_):
        raise KeyboardInterrupt

    for step in ("numpy.savez", "json.dump", "pathlib.Path.rename"):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(step, dies)
            checkpoints.save(variables, progress_after(2))
        assert (tmp_path / "checkpoints" / "epoch_0002.tmp").exists()
        assert checkpoints.progress().epochs == 1
    checkpoints.clean()
    assert [path.name for path in checkpoints.folder.iterdir()] == ["epoch_0001"]


def test_the_state_of_another_model_is_refused(variables, tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(variables, progress_after(1))
    with pytest.raises(ValueError, match="of another model or optimizer"):
        checkpoints.restore(variables[:-1])


def test_the_estimate_covers_the_files(variables, tmp_path):
    checkpoints = Checkpoints(tmp_path)
    large = [keras.Variable(np.zeros((200, 100), "float32"))]
    for epochs in (1, 2):
        checkpoints.save(large, progress_after(epochs))
    written = sum(file.stat().st_size for file in tmp_path.rglob("*.npz"))
    assert 2 * 80_000 < written < checkpoint_bytes(large) == 6 * 80_000
    assert json.loads((checkpoints.complete()[0] / "progress.json").read_text())


def test_the_state_of_random_layers_is_kept(make_vit):
    # So that a run goes on with the draws that would have followed.
    model = kcp.ConcatPlexer(make_vit(), num_mux=2, shuffle_slots=True)
    generator = model.get_layer("multiplexer").slot_embedding.seed_generator
    state = state_variables(model, keras.optimizers.SGD())
    assert any(variable is generator.state for variable in state)
