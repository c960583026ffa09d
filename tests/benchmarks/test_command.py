import subprocess
import sys

import pytest

COMMAND = """
import os
from benchmarks import command

os.getloadavg = lambda: ({load}, 0, 0)

def main(values):
    raise ValueError("What was wrong.")

command.run(main, lambda: None, measures={measures})
"""


@pytest.mark.parametrize(
    "load, measures, arguments, message",
    [
        (99.0, False, [], "error: What was wrong."),
        (99.0, True, [], "error: The machine is busy: load 99.0"),
        (99.0, True, ["--allow_load"], "error: What was wrong."),
        (0.0, True, [], "error: What was wrong."),
        (0.0, False, ["--allow_load"], "error: Unknown command line flag"),
    ],
)
def test_errors_are_one_line(load, measures, arguments, message):
    script = COMMAND.format(load=load, measures=measures)
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith(message) and "Traceback" not in done.stderr
