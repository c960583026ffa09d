"""The command as a process: what it imports, and how it ends."""

import json
import os
import signal
import subprocess
import sys

import pytest


@pytest.fixture
def folder(tmp_path):
    """Nine images."""
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(9):
        (folder / f"{i}.png").write_bytes(b"%d" % i)
    return folder


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def process(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "savedmodel_export.client", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_help_needs_no_second():
    start = os.times().children_user
    assert "--wait_seconds" in process("--help").communicate()[0]
    assert os.times().children_user - start < 1


def test_no_tensorflow():
    program = (
        "import sys; from savedmodel_export.client import command, grpc_client;"
        "print('tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True)
    assert done.stdout == b"False\n", done.stderr


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_goes_on_after_a_kill(rest_server, tmp_path, how):
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(200):
        (folder / f"{i:03}.png").write_bytes(b"bad" if i % 50 == 9 else b"%d" % i)
    chosen = (folder, "--model=m", f"--rest={rest_server.address}", "--batch_size=4")
    output = tmp_path / "out.jsonl"
    reached = 0

    def answer(contents, signature):
        nonlocal reached
        reached += 1
        if reached == 30:
            running.send_signal(how)
            rest_server.wait(0.2)
        return type(rest_server).answer(rest_server, contents, signature)

    rest_server.answer = answer
    try:
        running = process(*chosen, f"--output={output}")
        _, said = running.communicate(timeout=60)
        if how == signal.SIGINT:
            assert "interrupted; what is done stands in" in said
            assert "Traceback" not in said
        assert names(tmp_path) == ["images", "out.jsonl.partial"]
        again = process(*chosen, f"--output={output}")
        _, said = again.communicate(timeout=60)
    finally:
        del rest_server.answer
    assert again.returncode == 1 and "4 of 200 files were not" in said
    rows = read(output) + read(tmp_path / "out.errors.jsonl")
    assert sorted(row["file"] for row in rows) == [
        str(folder / f"{i:03}.png") for i in range(200)
    ]


def test_a_reader_that_has_enough(rest_server, folder):
    running = process(folder, "--model=m", f"--rest={rest_server.address}")
    running.stdout.close()
    running.stdout = None
    _, said = running.communicate(timeout=60)
    assert running.returncode == 141 and "Traceback" not in said
