"""The command against faulty servers and hostile files. Each takes a minute."""

import concurrent.futures
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from tests.savedmodel_export.client.faulty import faults
from tests.savedmodel_export.client.faulty.fake_servers import GrpcServer, RestServer

pytestmark = pytest.mark.large

# Seconds that a command may take at `--timeout=1`: the images are asked together,
# then each of the three alone, after the look whether the model mixes images.
LONGEST = 20


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "savedmodel_export.client", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=LONGEST,
    )


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(3):
        (folder / f"{i}.png").write_bytes(bytes([i]))
    return folder


def check(images, server, fault, flag):
    """Runs the command against a fault; returns what it does wrong, and seconds."""
    start = time.monotonic()
    server.fault = fault
    try:
        done = run(images, "--model=m", flag, "--timeout=1", "--retries=1")
    except subprocess.TimeoutExpired:
        return "hangs", LONGEST
    finally:
        server.stop()
    seconds = time.monotonic() - start
    if "Traceback" in done.stderr or done.returncode != 1:
        return f"ends with {done.returncode}: {done.stderr[-500:]}", seconds
    if "error: " not in done.stderr:
        return f"says nothing: {done.stderr[-500:]}", seconds
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    if any("error" not in row for row in rows):
        return f"takes nonsense: {rows}", seconds
    return None, seconds


def test_faulty_servers(images):
    jobs = []
    for name, fault in faults.REST_FAULTS.items():
        server = RestServer()
        jobs.append((f"REST, {name}", server, fault, f"--rest={server.address}"))
    num_rest = len(jobs)
    for name, fault in faults.GRPC_FAULTS.items():
        server = GrpcServer()
        jobs.append((f"gRPC, {name}", server, fault, f"--grpc={server.address}"))
    for name, fault in faults.PORT_FAULTS.items():
        server = RestServer()
        flag = f"--grpc=localhost:{server.port}"
        jobs.append((f"gRPC port, {name}", server, fault, flag))
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda job: check(images, *job[1:]), jobs))
    wrong = {
        name: what
        for (name, *_), (what, _) in zip(jobs, found, strict=True)
        if what is not None
    }
    print(
        f"{num_rest} REST and {len(jobs) - num_rest} gRPC servers, {len(wrong)} wrong, "
        f"the longest {max(seconds for _, seconds in found):.1f} s"
    )
    assert not wrong
    assert num_rest >= 52 and len(jobs) - num_rest >= 40


def hostile(rng, place, index):
    """Makes a file that is none of an image, and sometimes not a file at all."""
    kind = index % 12
    odd = ["=cmd", "@x", "-v", "new\nline", '"quote",', "\udcff", "\N{SNOWMAN}"]
    path = place / f"{rng.choice(odd)} {index:05}.{rng.choice(['png', 'JPG', 'gif'])}"
    if kind == 0:
        os.mkfifo(path)
    elif kind == 1:
        path.symlink_to(path.name)
    elif kind == 2:
        path.symlink_to("nowhere")
    elif kind == 3:
        path.touch()
    elif kind == 4:
        path.symlink_to(place)
    elif kind == 5:
        with path.open("wb") as file:
            file.truncate(2**36)
    elif kind == 6:
        path.symlink_to("/dev/zero")
    elif kind in (7, 8):
        path.write_bytes(b"bad" + rng.randbytes(rng.randrange(300)))
    else:
        path.write_bytes(b"ok" + rng.randbytes(rng.randrange(300)))
    return path, kind > 8


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("transport", ["rest", "grpc"])
def test_hostile_files(tmp_path, transport):
    rng = random.Random(0)
    folder, output = tmp_path / "images", tmp_path / "out.jsonl"
    good = {}
    for index in range(10_000):
        place = folder / f"{index % 40:02}"
        place.mkdir(parents=True, exist_ok=True)
        path, is_good = hostile(rng, place, index)
        good[str(path)] = is_good
    server = RestServer() if transport == "rest" else GrpcServer()
    # Now and then it fails, too.
    server.fault = (
        faults.says(500)
        if transport == "rest"
        else faults.aborts(faults.grpc.StatusCode.UNAVAILABLE)
    )
    server._next_fault = lambda: server.fault if rng.random() < 0.02 else None
    command = [sys.executable, "-m", "savedmodel_export.client", str(folder)]
    command += ["--model=m", f"--{transport}={server.address}", f"--output={output}"]
    command += ["--batch_size=16", "--concurrency=4"]
    kills = 0
    while not output.exists():
        running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        with contextlib.suppress(subprocess.TimeoutExpired):
            # The last ones may come to the end.
            running.wait(rng.uniform(1, 4) if kills < 5 else 200)
        if running.poll() is None:
            running.send_signal(signal.SIGKILL)
            kills += 1
        said = running.communicate()[1]
        assert "Traceback" not in said, said
    server.stop()
    right, wrong = read(output), read(tmp_path / "out.errors.jsonl")
    print(f"{len(right)} answers, {len(wrong)} errors, {kills} kills")
    assert sorted(row["file"] for row in right + wrong) == sorted(good)
    assert sorted(row["file"] for row in right) == sorted(p for p in good if good[p])
    assert kills == 5 or running.returncode == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "images",
        "out.errors.jsonl",
        "out.jsonl",
    ]
