"""The documentation builds: without a warning, a dead link inside, or a network."""

import ast
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.large
def test_the_documentation_builds_without_warnings(tmp_path):
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    # Where a page would fetch something, it fails.
    offline = {**os.environ, "https_proxy": "http://127.0.0.1:9"}
    result = subprocess.run(
        [*command, ROOT / "docs", tmp_path], capture_output=True, text=True, env=offline
    )
    assert result.returncode == 0, result.stderr
    page = (tmp_path / "api.html").read_text()
    assert "ConcatPlexer" in page and "Images per group" in page


@pytest.mark.large
def test_the_tutorial_runs(tmp_path):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    notebook = nbformat.read(ROOT / "docs/tutorials/compress_a_vit.ipynb", as_version=4)
    where = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=300, resources=where).execute()
    assert (tmp_path / "served" / "digits" / "1" / "saved_model.pb").is_file()
    *_, last = notebook.cells
    answers, labels = ast.literal_eval(last.outputs[0]["data"]["text/plain"])
    right = sum(int(a) == label for a, label in zip(answers, labels, strict=True))
    # Of eight images; a model that learned nothing gets one.
    assert right >= 6


def test_the_pictures_are_those_that_the_script_draws(tmp_path):
    script = ROOT / "docs" / "draw.py"
    code = (
        "import pathlib, runpy, sys; names = runpy.run_path(sys.argv[1]);"
        "names['main'].__globals__['FOLDER'] = pathlib.Path(sys.argv[2]);"
        "names['main']()"
    )
    subprocess.run([sys.executable, "-c", code, script, tmp_path], check=True)
    drawn = {path.name: path.read_text() for path in tmp_path.glob("*.svg")}
    kept = {p.name: p.read_text() for p in (ROOT / "docs" / "images").glob("*.svg")}
    assert drawn.keys() == kept.keys() and drawn == kept
