import dataclasses
import errno
import json
import os
import shutil

import numpy as np
import pytest

import keras_concatplexer as kcp
from train.callbacks.stopping import TrainingStopped
from train.config import Config
from train.data import load_data
from train.trainer import Run


def test_a_run_leaves_its_files(tiny_run):
    workdir, results = tiny_run
    names = {path.name for path in workdir.iterdir()}
    assert names == {
        ".training",
        "best.keras",
        "bundle.json",
        "checkpoints",
        "config.json",
        "calibration.json",
        "data.json",
        "last.keras",
        "results.json",
        "tensorboard",
    }
    assert json.loads((workdir / "results.json").read_text()) == results
    assert results["num_test_images"] == 35
    assert len(results["history"]["val_accuracy"]) == results["epochs"] == 3
    model = kcp.bundle.load_model(workdir)
    macs = kcp.flops.count(model).macs_per_image
    assert results["gmacs_per_image"] == pytest.approx(macs / 1e9)


@pytest.mark.large
def test_a_vit_learns(trained_vit):
    assert trained_vit[1]["test_accuracy"] > 0.85


@pytest.mark.large
def test_a_wrapped_vit_learns(trained_concatplexer):
    assert trained_concatplexer[1]["test_accuracy"] > 0.85


def test_results_are_of_the_saved_models(tiny_config, tiny_run):
    workdir, results = tiny_run
    # The last of them is smaller, and its last group not full.
    data = load_data(tiny_config)
    labels = np.concatenate([labels for _, labels in data.batches("test", 32)])
    for checkpoint in ("best", "last"):
        model = kcp.bundle.load_model(workdir, checkpoint)
        logits = model.predict(data.batches("test", 32), verbose=0)
        accuracy = np.mean(np.argmax(logits, -1) == labels)
        assert results[checkpoint]["accuracy"] == pytest.approx(accuracy, abs=1e-6)


@pytest.fixture
def config(digits_dir):
    return Config(data_dir=str(digits_dir))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"batch_size": 2000}, "larger than the training split of 1293 images"),
        ({"num_mux": 3}, "power of two. Received: num_mux=3"),
        ({"image_size": 18}, "4 does not divide 18"),
        ({"image_size": 4}, "strides.* larger than the grid"),
        ({"init_from": "/nowhere"}, "/nowhere holds no trained model"),
    ],
)
def test_errors_come_before_training(config, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        Run(dataclasses.replace(config, **changes), tmp_path / "run")
    assert not (tmp_path / "run" / "config.json").exists()


def test_an_unwritable_workdir(config, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cannot be written: Not a directory"):
        Run(config, tmp_path / "file" / "run")


def test_a_batch_that_replicas_and_groups_do_not_divide(config, tmp_path):
    changes = {"batch_size": 66, "strategy": "mirrored", "logical_cpus": 2}
    with pytest.raises(ValueError, match="multiple of 4.*The nearest: 64 or 68"):
        Run(dataclasses.replace(config, **changes), tmp_path / "run")


def test_a_full_disk(tiny_config, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(ValueError, match="has 0 MB free"):
        Run(tiny_config, tmp_path / "run")
    assert [path.name for path in (tmp_path / "run").iterdir()] == [".training"]


def test_files_that_are_there_need_no_room(
    tiny_config, tiny_run, tmp_path, monkeypatch
):
    workdir = shutil.copytree(tiny_run[0], tmp_path / "run")
    checkpoint = next((workdir / "checkpoints").iterdir())
    largest = sum(file.stat().st_size for file in checkpoint.iterdir())
    usage = shutil.disk_usage(tmp_path)._replace(free=2 * largest)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    more = dataclasses.replace(tiny_config, epochs=4)
    Run(more, workdir).close()
    with pytest.raises(ValueError, match="MB free; the run's checkpoints need"):
        Run(tiny_config, tmp_path / "other")


def test_a_workdir_is_for_one_run_at_a_time(tiny_config, tmp_path):
    run = Run(tiny_config, tmp_path)
    with pytest.raises(ValueError, match=f"in use by process {os.getpid()} on"):
        Run(tiny_config, tmp_path)
    run.close()
    Run(tiny_config, tmp_path).close()


def test_what_others_wrote_is_left_alone(tiny_config, tmp_path):
    (tmp_path / "checkpoints" / "mine.tmp").mkdir(parents=True)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="not the folder of a training run.*config"):
        Run(tiny_config, tmp_path)
    assert (tmp_path / "config.json").read_text() == "{}"
    assert (tmp_path / "checkpoints" / "mine.tmp").is_dir()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoints",
        "config.json",
    ]


def test_another_config_in_the_workdir(tiny_config, tmp_path):
    Run(tiny_config, tmp_path).close()
    changed = dataclasses.replace(tiny_config, seed=1, learning_rate=0.5)
    message = "other settings: seed was 0, is 1[.] Give the old"
    with pytest.raises(ValueError, match=message):
        Run(changed, tmp_path)


def weights(workdir):
    return kcp.bundle.load_model(workdir, "last").get_weights()


def assert_same_history(ours, theirs, rel):
    assert list(ours) == list(theirs)
    for name in ("loss", "val_loss", "val_accuracy", "gradient_norm"):
        assert ours[name] == pytest.approx(theirs[name], rel=rel)


@pytest.fixture
def killed_run(tiny_run, tmp_path):
    """What SIGKILL leaves of a run while it writes its third checkpoint.

    The models of the epoch are written already. `tests/integration/test_resume.py`
    kills real processes.
    """
    workdir = shutil.copytree(tiny_run[0], tmp_path / "killed")
    (workdir / "results.json").unlink()
    checkpoints = workdir / "checkpoints"
    (checkpoints / "epoch_0003").rename(checkpoints / "epoch_0003.tmp")
    (checkpoints / "epoch_0003.tmp" / "SHA256SUMS").unlink()
    return workdir


def test_a_killed_run_goes_on_as_if_nothing_had_been(tiny_config, tiny_run, killed_run):
    run = Run(tiny_config, killed_run)
    assert run.progress.epochs == 2
    assert not (killed_run / "checkpoints" / "epoch_0003.tmp").exists()
    assert run.is_finished is False
    results = run.fit()

    workdir, whole = tiny_run
    assert results["epochs"] == 3 and results["steps"] == 9
    best = min(results["history"]["val_loss"])
    assert run.progress.best == best
    assert_same_history(results["history"], whole["history"], rel=1e-4)
    for ours, theirs in zip(weights(killed_run), weights(workdir), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_a_finished_run_is_evaluated_again(tiny_config, tiny_run, tmp_path):
    workdir, first = tiny_run
    shutil.copytree(workdir, tmp_path, dirs_exist_ok=True)
    (tmp_path / "results.json").unlink()
    assert Run(tiny_config, tmp_path).fit() == first
    assert json.loads((tmp_path / "results.json").read_text()) == first
    for name in ("best.keras", "last.keras"):
        assert (tmp_path / name).read_bytes() == (workdir / name).read_bytes()
    fewer = dataclasses.replace(tiny_config, epochs=2)
    with pytest.raises(ValueError, match="completed 3 epochs: --epochs must be 3"):
        Run(fewer, tmp_path)


@pytest.mark.large
def test_a_finished_run_goes_on_for_more_epochs(tiny_config, tiny_run, tmp_path):
    workdir, first = tiny_run
    shutil.copytree(workdir, tmp_path, dirs_exist_ok=True)
    more = Run(dataclasses.replace(tiny_config, epochs=4), tmp_path).fit()
    assert more["epochs"] == 4 and more["steps"] == 12
    assert more["history"]["val_loss"][:3] == first["history"]["val_loss"]


@pytest.mark.large
def test_a_run_is_evaluated_and_ended_where_it_stands(
    tiny_config, killed_run, monkeypatch
):
    workdir = killed_run
    results = Run(tiny_config, workdir, evaluate_only=True).fit()
    assert results["epochs"] == 2 and len(results["history"]["val_loss"]) == 2
    assert Config.saved_in(workdir).epochs == 3

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("train.trainer.report", full)
    ended = Run(dataclasses.replace(tiny_config, epochs=2), workdir)
    assert Config.saved_in(workdir).epochs == 2
    with pytest.raises(TrainingStopped, match="No space left.*epochs are kept"):
        ended.fit()
    monkeypatch.undo()
    content = bytearray((workdir / "best.keras").read_bytes())
    content[len(content) // 2 :] = b""
    (workdir / "best.keras").write_bytes(content)
    with pytest.raises(ValueError, match="best.keras is damaged"):
        Run(dataclasses.replace(tiny_config, epochs=2), workdir).fit()


def test_nothing_to_evaluate(tiny_config, tmp_path):
    with pytest.raises(ValueError, match="holds no training run to evaluate"):
        Run(tiny_config, tmp_path / "none", evaluate_only=True)
    assert not (tmp_path / "none").exists()
    tiny_config.save(tmp_path)
    (tmp_path / ".training").touch()
    with pytest.raises(ValueError, match="has not completed an epoch"):
        Run(tiny_config, tmp_path, evaluate_only=True)


def test_what_changes_for_the_epochs_to_come_is_said(tiny_config, tmp_path, capsys):
    Run(tiny_config, tmp_path).close()
    Run(dataclasses.replace(tiny_config, learning_rate=0.5), tmp_path).close()
    assert "--learning_rate was 0.001, is 0.5 from epoch 1" in capsys.readouterr().out


@pytest.mark.large
def test_a_run_that_diverged_goes_on_as_told_and_stops_early(tiny_config, tmp_path):
    diverging = dataclasses.replace(tiny_config, learning_rate=1e30, epochs=9)
    with pytest.raises(TrainingStopped, match="epoch 1, step [23].*--learning_rate"):
        Run(diverging, tmp_path).fit()
    assert not (tmp_path / "best.keras").exists()
    # Without learning, no epoch is better than the first.
    config = dataclasses.replace(diverging, learning_rate=0.0, early_stopping=1)
    assert Run(config, tmp_path).fit()["epochs"] == 2
    again = Run(config, tmp_path)
    assert again.is_finished
    again.close()


@pytest.mark.large
def test_two_replicas(tiny_config, tiny_run, tmp_path):
    config = dataclasses.replace(tiny_config, strategy="mirrored", logical_cpus=2)
    run = Run(config, tmp_path)
    assert run.strategy.num_replicas_in_sync == 2
    results, (_, single) = run.fit(), tiny_run
    assert_same_history(results["history"], single["history"], rel=1e-3)
    assert results["best"]["loss"] == pytest.approx(single["best"]["loss"], rel=1e-3)


@pytest.mark.large
def test_a_student_is_saved_alone(tiny_config, tiny_run, tmp_path):
    vit = kcp.vit.keras_cv_vit(tiny_config.size, (16, 16, 1), num_classes=10)
    vit.save(tmp_path / "best.keras")
    preprocessor = kcp.preprocessing.ImagePreprocessor((16, 16, 1))
    kcp.bundle.write_description(tmp_path, preprocessor, list("0123456789"))
    config = dataclasses.replace(tiny_config, epochs=1, teacher=str(tmp_path))
    results = Run(config, tmp_path / "student").fit()
    student = kcp.bundle.load_model(tmp_path / "student")
    assert isinstance(student, kcp.ConcatPlexer)
    assert student.count_params() == tiny_run[1]["parameters"]
    assert list(results["history"]) == list(tiny_run[1]["history"])


def test_a_multiplexed_teacher_is_refused(tiny_config, tiny_run, tmp_path):
    multiplexed = dataclasses.replace(tiny_config, teacher=str(tiny_run[0]))
    with pytest.raises(ValueError, match="holds a multiplexed model"):
        Run(multiplexed, tmp_path / "other")
