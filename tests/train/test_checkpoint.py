import shutil

import keras
import numpy as np
import pytest

import keras_concatplexer as kcp
from train.checkpoint import (
    Checkpoints,
    Progress,
    disk_bytes,
    restore,
    state_variables,
)
from train.workdir import Workdir


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
    newest = Checkpoints(tmp_path).newest()
    restore(newest, variables)
    for ours, theirs in zip(arrays(variables), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert Progress.of(newest) == progress
    assert progress.history == {"loss": [0.0, 1.0]}
    assert (progress.epochs, progress.steps, progress.seconds) == (2, 2, 1.0)


def test_a_new_workdir_starts_from_nothing(tmp_path):
    assert Checkpoints(tmp_path / "none").newest() is None
    assert Progress.of(None) == Progress()


def test_the_two_newest_are_kept(variables, tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for epoch in (9, 10, 9_999, 10_000):
        checkpoints.save(variables, Progress(epochs=epoch))
    names = [folder.name for folder in checkpoints.complete()]
    assert names == ["epoch_10000", "epoch_9999"]


@pytest.fixture(scope="module")
def two_checkpoints(tmp_path_factory):
    """A workdir with the checkpoints of two epochs, whose states differ."""
    workdir = tmp_path_factory.mktemp("run")
    weight = keras.Variable(np.zeros((8, 8), "float32"))
    for epochs in (1, 2):
        weight.assign(np.full((8, 8), epochs, "float32"))
        Checkpoints(workdir).save([weight], progress_after(epochs))
    return workdir


def state_and_progress(workdir):
    """What a run would go on from."""
    weight = keras.Variable(np.zeros((8, 8), "float32"))
    newest = Checkpoints(workdir).newest()
    restore(newest, [weight])
    return float(weight[0, 0]), Progress.of(newest)


@pytest.mark.parametrize("file", ["state.npz", "progress.json", "SHA256SUMS"])
@pytest.mark.parametrize("damage", ["cut", "empty", "missing", "flip"])
def test_a_damaged_checkpoint_is_named_and_skipped(
    two_checkpoints, tmp_path, file, damage, capsys
):
    workdir = shutil.copytree(two_checkpoints, tmp_path / "run")
    path = workdir / "checkpoints" / "epoch_0002" / file
    content = bytearray(path.read_bytes())
    path.unlink()
    if damage != "missing":
        content[len(content) // 2] ^= 1
        length = {"cut": len(content) // 2, "empty": 0, "flip": None}[damage]
        path.write_bytes(content[:length])
    assert state_and_progress(workdir) == (1.0, progress_after(1))
    (warning, *_) = capsys.readouterr().err.splitlines()
    assert "epoch_0002 is damaged" in warning
    assert "goes on from epoch_0001" in warning


def test_a_run_does_not_start_again_where_all_checkpoints_are_damaged(
    two_checkpoints, tmp_path
):
    workdir = shutil.copytree(two_checkpoints, tmp_path / "run")
    for folder in Checkpoints(workdir).complete():
        (folder / "state.npz").write_bytes(b"")
    message = "No checkpoint is left.*epoch_0002 is damaged.*epoch_0001 is damaged"
    with pytest.raises(ValueError, match=message):
        Checkpoints(workdir).newest()


@pytest.mark.large
def test_no_flipped_bit_is_taken_for_another_state(two_checkpoints, tmp_path, capsys):
    """4,000 single flips over all files of both checkpoints."""
    workdir = shutil.copytree(two_checkpoints, tmp_path / "run")
    right = {epochs: (float(epochs), progress_after(epochs)) for epochs in (1, 2)}
    files = sorted((workdir / "checkpoints").glob("*/*"))
    assert len(files) == 6
    rng, went_on_from = np.random.default_rng(0), {1: 0, 2: 0}
    for flip in range(4_000):
        path = files[flip % len(files)]
        content = path.read_bytes()
        damaged = bytearray(content)
        damaged[rng.integers(len(content))] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        state, progress = state_and_progress(workdir)
        assert (state, progress) == right[progress.epochs]
        went_on_from[progress.epochs] += 1
        path.write_bytes(content)
    with capsys.disabled():
        print(f"\n4,000 flips: the run went on from epoch: times {went_on_from}")
    # A flip in the newest checkpoint is always seen. It has the later three files.
    in_the_newest = sum(flip % 6 >= 3 for flip in range(4_000))
    assert went_on_from == {1: in_the_newest, 2: 4_000 - in_the_newest}


def test_a_death_during_the_write_leaves_the_one_before(
    variables, tmp_path, monkeypatch
):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(variables, progress_after(1))

    def dies(*_):
        raise KeyboardInterrupt

    for step in (
        "numpy.savez",
        "json.dump",
        "hashlib.file_digest",
        "pathlib.Path.rename",
    ):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(step, dies)
            checkpoints.save(variables, progress_after(2))
        assert (tmp_path / "checkpoints" / "epoch_0002.tmp").exists()
        assert Progress.of(checkpoints.newest()).epochs == 1
    (tmp_path / ".training").touch()
    Workdir(tmp_path).close()
    assert [path.name for path in checkpoints.folder.iterdir()] == ["epoch_0001"]


def test_the_state_of_another_model_is_refused(variables, tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(variables, progress_after(1))
    with pytest.raises(ValueError, match="of another model or optimizer"):
        restore(checkpoints.newest(), variables[:-1])


def test_the_estimate_covers_the_files(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    model = keras.Sequential([keras.Input((200,)), keras.layers.Dense(100)])
    state = [*model.variables, *model.variables]
    for epochs in (1, 2):
        checkpoints.save(state, progress_after(epochs))
    written = sum(file.stat().st_size for file in tmp_path.rglob("*.npz"))
    weights = 201 * 100 * 4
    assert disk_bytes(model, state) == (3 * 2 * weights + 3 * weights, 3 * weights)
    assert 4 * weights < written < 5 * weights


def test_the_state_of_random_layers_is_kept(make_vit):
    # So that a run goes on with the draws that would have followed.
    model = kcp.ConcatPlexer(make_vit(), num_mux=2, shuffle_slots=True)
    generator = model.get_layer("multiplexer").slot_embedding.seed_generator
    state = state_variables(model, keras.optimizers.SGD())
    assert any(variable is generator.state for variable in state)
