import errno
import logging
import multiprocessing
import random
import time

import pytest

from savedmodel_export.publishing import versions
from savedmodel_export.release import new_version
from savedmodel_export.serving import models_config
from savedmodel_export.serving.configuration import write_serving_files


@pytest.fixture
def release(tmp_path, fill):
    """Function that publishes a version of no model; options of `new_version`."""

    def release(mixes_images=False, file_format="tf_saved_model", **options):
        with new_version(
            tmp_path / "model",
            file_format=file_format,
            mixes_images=mixes_images,
            **options,
        ) as release:
            fill(release.folder, mixes_images=mixes_images, format=file_format)
        return release.version

    return release


def names(folder):
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def test_everything_lies_in_the_folder_of_the_versions(release, tmp_path):
    (tmp_path / "serve.sh").write_text("mine")
    version = release(serving_files=True)
    assert version == tmp_path / "model" / "1"
    assert names(tmp_path) == {"model", "serve.sh"}
    assert (tmp_path / "serve.sh").read_text() == "mine"
    assert names(tmp_path / "model") == {"1", "serving"}
    assert names(tmp_path / "model" / "serving") == {
        *("serve.sh", "docker-compose.yml", "models.config", "monitoring.config"),
    }


def test_nothing_is_published_if_the_block_raises(release, tmp_path):
    with pytest.raises(KeyError):
        with new_version(tmp_path, file_format="a", mixes_images=False):
            raise KeyError
    assert names(tmp_path) == set()


def test_old_versions_go_but_those_that_the_config_names(release, tmp_path):
    for _ in range(4):
        version = release(serving_files=True, keep=2)
    # The label stable is at version 1; no one has moved it.
    assert names(version.parent) == {"1", "3", "4", "serving"}


def test_another_kind_of_mixing_must_be_asked_for(release, tmp_path):
    release(mixes_images=False)
    with pytest.raises(ValueError, match="Version 1 .* does not mix images, the new"):
        release(mixes_images=True)
    release(mixes_images=True, change_mixing=True)
    with pytest.raises(ValueError, match="allow it"):
        release(mixes_images=True)
    assert names(tmp_path / "model") == {"1", "2"}


def test_a_folder_holds_one_format(release):
    release()
    with pytest.raises(ValueError, match="has the format tf_saved_model, the new one"):
        release(file_format="onnx")


def test_files_of_others_are_found_before_the_work(release, tmp_path):
    folder = tmp_path / "model" / "serving"
    folder.mkdir(parents=True)
    (folder / "serve.sh").write_text("of somebody else")
    entered = False
    with pytest.raises(ValueError, match="serve.sh was not written by this program"):
        with new_version(
            tmp_path / "model",
            file_format="a",
            mixes_images=False,
            serving_files=True,
        ):
            entered = True
    assert not entered
    assert (folder / "serve.sh").read_text() == "of somebody else"
    release(serving_files=False)


def test_what_cannot_be_deleted_is_a_warning(release, monkeypatch, caplog):
    release()

    def fail(*arguments):
        raise OSError("Read-only file system")

    monkeypatch.setattr("savedmodel_export.release.prune", fail)
    with caplog.at_level(logging.WARNING):
        assert release(keep=1).name == "2"
    assert "stay: Read-only file system" in caplog.text


def test_a_disk_that_fills_up_behind_the_version(release, tmp_path, monkeypatch):
    release(serving_files=True)
    config = tmp_path / "model" / "serving" / "models.config"
    before = config.read_text()

    def fail(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("savedmodel_export.serving.configuration.replace_file", fail)
        with pytest.raises(ValueError, match="2 is published, .* No space .* Mend"):
            release(serving_files=True)
    assert config.read_text() == before
    write_serving_files(tmp_path / "model")
    assert labels(tmp_path / "model") == {"stable": 1, "canary": 2}


def test_keep_is_checked_first(release):
    with pytest.raises(ValueError, match="`keep` must be a positive integer"):
        release(keep=0)


def export_again_and_again(folder, fill, seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with new_version(
            folder,
            file_format="tf_saved_model",
            mixes_images=False,
            keep=2,
            serving_files=True,
        ) as release:
            fill(release.folder, format="tf_saved_model")


def promote_again_and_again(folder, seconds, results):
    until, accepted, lost = time.monotonic() + seconds, 0, []
    while time.monotonic() < until:
        stable = random.choice(versions(folder))
        try:
            write_serving_files(folder, stable)
        except ValueError as error:
            assert f"has no version {stable}" in str(error)  # Deleted meanwhile.
            continue
        accepted += 1
        # Nobody else promotes: it is stable until the next time.
        for _ in range(3):
            if (found := labels(folder)["stable"]) != stable:
                lost.append((stable, found))
    results.put((accepted, lost))


def labels(folder):
    text = (folder / "serving" / "models.config").read_text()
    return models_config.read(text, folder.name).labels


@pytest.mark.parametrize("seconds", [2, pytest.param(20, marks=pytest.mark.large)])
def test_two_exporters_and_a_promotion(release, tmp_path, fill, seconds):
    folder = release(serving_files=True).parent
    processes = multiprocessing.get_context("fork")
    results = processes.Queue()
    others = [
        processes.Process(target=export_again_and_again, args=(folder, fill, seconds))
        for _ in range(2)
    ]
    others.append(
        processes.Process(
            target=promote_again_and_again, args=(folder, seconds, results)
        )
    )
    for process in others:
        process.start()
    looks, canary, missing, backwards = 0, 0, [], []
    config = folder / "serving" / "models.config"
    while any(process.is_alive() for process in others):
        text = config.read_text()
        served = models_config.read(text, folder.name)
        gone = [n for n in served.named if not (folder / str(n)).is_dir()]
        # A version goes after the file that no longer names it has appeared.
        if gone and config.read_text() == text:
            missing.append(gone)
        if served.labels["canary"] < canary:
            backwards.append(served.labels["canary"])
        canary = served.labels["canary"]
        looks += 1
    accepted, lost = results.get()
    for process in others:
        process.join()
        assert process.exitcode == 0
    print(f"{looks} looks, {accepted} promotions, {canary} versions")
    assert (missing, backwards, lost) == ([], [], [])
    assert looks > 10 and accepted > 3 and canary > 10
    assert labels(folder)["canary"] == versions(folder)[-1]
    assert len(versions(folder)) <= 3
