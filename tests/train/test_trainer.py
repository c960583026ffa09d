import dataclasses
import errno
import json
import shutil

import keras
import numpy as np
import pytest

import keras_concatplexer as kcp
from train.checkpoint import Checkpoints
from train.config import Config
from train.data import load_data
from train.stopping import TrainingStopped
from train.trainer import Run


def test_a_run_leaves_its_files(trained_concatplexer):
    workdir, results = trained_concatplexer
    names = {path.name for path in workdir.iterdir()}
    assert names == {
        "best.keras",
        "bundle.json",
        "checkpoints",
        "config.json",
        "last.keras",
        "results.json",
        "tensorboard",
    }
    assert json.loads((workdir / "results.json").read_text()) == results
    assert results["num_test_images"] == 355
    assert len(results["history"]["val_accuracy"]) == results["epochs"] == 2
    assert results["gmacs_per_image"] == pytest.approx(0.0162, abs=1e-4)


def test_training_learns(trained_vit, trained_concatplexer):
    assert trained_vit[1]["test_accuracy"] > 0.85
    assert trained_concatplexer[1]["test_accuracy"] > 0.85


def test_results_are_of_the_saved_models(trained_concatplexer, digits_dir):
    workdir, results = trained_concatplexer
    config = Config(data_dir=str(digits_dir), test_split="test[:355]")
    data = load_data(config)
    labels = np.concatenate([labels for _, labels in data.batches("test", 64)])
    for checkpoint in ("best", "last"):
        model = kcp.bundle.load_model(workdir, checkpoint)
        logits = model.predict(data.batches("test", 64), verbose=0)
        accuracy = np.mean(np.argmax(logits, -1) == labels)
        assert results[checkpoint]["accuracy"] == pytest.approx(accuracy, abs=1e-6)


def test_a_wrapped_vit_works_before_any_fine_tuning(trained_vit, digits_dir, capsys):
    workdir, results = trained_vit
    vit = kcp.bundle.load_model(workdir)
    data = load_data(Config(data_dir=str(digits_dir)))
    accuracies = {}
    for scope in ("image", "group"):
        model = kcp.ConcatPlexer(vit, num_mux=2, attention_scope=scope)
        model.compile(
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        batches = data.batches("test", 64)
        accuracies[scope] = model.evaluate(batches, verbose=0)[1]
    with capsys.disabled():
        print(
            f"\ndigits, ViT {results['test_accuracy']:.3f}; wrapped, N = 2, without "
            f"training: {accuracies}"
        )
    assert accuracies["image"] > 0.6
    assert accuracies["group"] > 0.3


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


def test_a_vit_of_other_classes_is_refused(config, tmp_path):
    vit = kcp.vit.keras_cv_vit("vit_nano4", (16, 16, 1), num_classes=3)
    vit.save(tmp_path / "best.keras")
    preprocessor = kcp.preprocessing.ImagePreprocessor((16, 16, 1))
    kcp.bundle.write_description(tmp_path, preprocessor, ["a", "b", "c"])
    with pytest.raises(ValueError, match="3 classes; the data has .* and 10"):
        Run(dataclasses.replace(config, init_from=str(tmp_path)), tmp_path / "run")


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
    assert list((tmp_path / "run").iterdir()) == []


def test_another_config_in_the_workdir(tiny_config, tmp_path):
    Run(tiny_config, tmp_path)
    changed = dataclasses.replace(tiny_config, seed=1, learning_rate=0.5)
    message = "learning_rate was 0.001, is 0.5; seed was 0, is 1"
    with pytest.raises(ValueError, match=message):
        Run(changed, tmp_path)


class Killed(BaseException):
    """Stands for a process that ends without a chance to clean up."""


def weights(workdir):
    return kcp.bundle.load_model(workdir, "last").get_weights()


@pytest.fixture(scope="module")
def tiny_run(tiny_config, tmp_path_factory):
    """An uninterrupted run: its workdir and results."""
    workdir = tmp_path_factory.mktemp("runs") / "whole"
    return workdir, Run(tiny_config, workdir).fit()


def assert_same_history(ours, theirs, rel):
    assert list(ours) == list(theirs)
    for name in ("loss", "val_loss", "val_accuracy", "gradient_norm"):
        assert ours[name] == pytest.approx(theirs[name], rel=rel)


def test_a_killed_run_goes_on_as_if_nothing_had_been(
    tiny_config, tiny_run, tmp_path, monkeypatch
):
    save = Checkpoints.save

    def die_in_the_last_epoch(checkpoints, variables, progress):
        # The models of the epoch are written already.
        if progress.epochs == 3:
            raise Killed
        save(checkpoints, variables, progress)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Checkpoints, "save", die_in_the_last_epoch)
        Run(tiny_config, tmp_path).fit()
    half_written = tmp_path / "checkpoints" / "epoch_0003.tmp"
    half_written.mkdir()
    run = Run(tiny_config, tmp_path)
    assert run.progress.epochs == 2
    assert not half_written.exists()
    results = run.fit()

    workdir, whole = tiny_run
    assert results["epochs"] == 3 and results["steps"] == 9
    best = min(results["history"]["val_loss"])
    assert run.progress.best == best
    assert_same_history(results["history"], whole["history"], rel=1e-4)
    for ours, theirs in zip(weights(tmp_path), weights(workdir), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_a_finished_run_is_evaluated_again_and_more_epochs_go_on(
    tiny_config, tiny_run, tmp_path
):
    workdir, first = tiny_run
    shutil.copytree(workdir, tmp_path, dirs_exist_ok=True)
    (tmp_path / "results.json").unlink()
    assert Run(tiny_config, tmp_path).fit() == first
    assert json.loads((tmp_path / "results.json").read_text()) == first
    for name in ("best.keras", "last.keras"):
        assert (tmp_path / name).read_bytes() == (workdir / name).read_bytes()

    more = Run(dataclasses.replace(tiny_config, epochs=4), tmp_path).fit()
    assert more["epochs"] == 4 and more["steps"] == 12
    assert more["history"]["val_loss"][:3] == first["history"]["val_loss"]
    with pytest.raises(ValueError, match="epochs was 4, is 3"):
        Run(tiny_config, tmp_path)


def test_a_loss_that_is_not_finite_stops_the_run(tiny_config, tmp_path):
    config = dataclasses.replace(tiny_config, learning_rate=1e30)
    run = Run(config, tmp_path)
    with pytest.raises(TrainingStopped, match="epoch 1, step [23].*--learning_rate"):
        run.fit()
    assert not (tmp_path / "best.keras").exists()


def test_a_disk_that_fills_up(tiny_config, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    run = Run(dataclasses.replace(tiny_config, epochs=1), tmp_path)
    monkeypatch.setattr(Checkpoints, "save", full)
    with pytest.raises(TrainingStopped, match="No space left on device.*Epoch 1"):
        run.fit()


def test_two_replicas(tiny_config, tiny_run, tmp_path):
    config = dataclasses.replace(tiny_config, strategy="mirrored", logical_cpus=2)
    run = Run(config, tmp_path)
    assert run.strategy.num_replicas_in_sync == 2
    results, (_, single) = run.fit(), tiny_run
    assert_same_history(results["history"], single["history"], rel=1e-3)
    assert results["best"]["loss"] == pytest.approx(single["best"]["loss"], rel=1e-3)


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

    multiplexed = dataclasses.replace(config, teacher=str(tiny_run[0]))
    with pytest.raises(ValueError, match="holds a multiplexed model"):
        Run(multiplexed, tmp_path / "other")
