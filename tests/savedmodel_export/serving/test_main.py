import subprocess
import sys

import pytest


@pytest.fixture
def command(tmp_path, fill):
    for number in (1, 2):
        fill(tmp_path / "pets" / str(number))

    def command(*arguments, options=()):
        return subprocess.run(
            [sys.executable, *options, "-m", "savedmodel_export.serving", *arguments],
            capture_output=True,
            text=True,
        )

    return command


def test_it_promotes_without_tensorflow(command, tmp_path):
    folder = tmp_path / "pets"
    result = command(folder, "--stable=1", options=("-X", "importtime"))
    assert result.returncode == 0
    assert result.stdout.strip() == str(folder / "serving")
    assert "tensorflow.python" not in result.stderr
    assert "keras.src" not in result.stderr
    text = (folder / "serving" / "models.config").read_text()
    assert 'key: "stable" value: 1' in text and 'key: "canary" value: 2' in text


def test_errors_are_one_line(command, tmp_path):
    result = command(tmp_path / "pets", "--stable=3")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ") and "has no version 3" in line
