"""The parts that commands share, each tried from the outside: no TensorFlow starts."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

PROGRAM = '''
"""Says what it was given."""

import os, signal, sys

from absl import flags

from savedmodel_export import command

with command.topic("Model"):
    flags.DEFINE_integer("num_mux", 2, "Images per sequence.")
    command.define_path("workdir", None, "Folder of a run.")
with command.topic("Recipe"):
    flags.DEFINE_bool("warmup", True, "Whether to warm up.")


def main(*names):
    if names[0] == "wait":
        os.kill(os.getpid(), signal.SIGINT)
    print(flags.FLAGS.workdir, names, os.environ["TF_CPP_MIN_LOG_LEVEL"])


command.run(main, ("NAMES...",))
'''


@pytest.fixture
def run(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(PROGRAM))
    environment = {**os.environ, "PYTHONPATH": os.getcwd(), "HOME": "/home/of/user"}

    def run(*arguments):
        return subprocess.run(
            [sys.executable, program, *arguments],
            capture_output=True,
            text=True,
            env=environment,
        )

    return run


def test_help_shows_the_flags_by_topic(run):
    lines = run("--help").stdout.splitlines()
    assert lines[0] == "Says what it was given."
    assert lines[2] == "Usage: program.py [flags] NAMES..."
    shown = [line.strip().split(":")[0] for line in lines if line.endswith(":")]
    assert shown == ["Model", "Recipe"]
    places = [
        next(i for i, line in enumerate(lines) if line.strip().startswith(start))
        for start in ("Model", "--num_mux", "--workdir", "Recipe", "--[no]warmup")
    ]
    assert places == sorted(places)


def test_a_console_command_describes_what_it_runs(run, tmp_path):
    program = tmp_path / "program.py"
    changed = program.read_text().replace(
        '("NAMES...",)', '("NAMES...",), description="Scores."'
    )
    program.write_text(changed)
    assert run("--help").stdout.startswith("Scores.\n\nUsage: program.py [flags]")


def test_help_may_be_cut_off():
    result = subprocess.run(
        f"{sys.executable} -m savedmodel_export --help | true",
        shell=True,
        capture_output=True,
        text=True,
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_values_reach_the_main_function(run):
    result = run("a", "--workdir=~/runs", "b")
    assert result.stdout.strip() == "/home/of/user/runs ('a', 'b') 3"
    assert result.returncode == 0


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["a", "--worxdir=x"], "Did you mean: workdir"),
        (["a", "--num_mux=two"], "flag --num_mux=two"),
        ([], "Expected NAMES...."),
    ],
)
def test_a_mistake_is_one_line(run, arguments, message):
    result = run(*arguments)
    assert result.returncode == 1
    line, hint = result.stderr.splitlines()
    assert line.startswith("error: ") and message in line
    assert hint == "Try --help."


def test_unknown_flags_reach_the_main_function_where_they_may(run, tmp_path):
    given = ("a", "--num_mux=4", "--worxdir=x")
    assert run(*given).returncode == 1
    program = tmp_path / "program.py"
    changed = program.read_text().replace('("NAMES...",)', "unknown_flags=True")
    program.write_text(changed)
    assert run(*given).stdout.strip() == "None ('a', '--worxdir=x') 3"
    assert "flag --num_mux=two" in run("a", "--num_mux=two").stderr


def test_an_interruption_is_one_line(run):
    result = run("wait")
    assert result.returncode == 128 + signal.SIGINT
    assert result.stderr == "interrupted\n"
