import pathlib

import pytest

from benchmarks.speed import measuring
from benchmarks.speed.rows import Row
from benchmarks.speed.worker import Worker, WorkerError

HERE = str(pathlib.Path(__file__).parent)
ROW = Row("row", image_size=4)


@pytest.fixture(scope="module")
def target():
    # A spawned process gets this one's `sys.path`.
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(HERE)
        yield "dummy_runner:DummyRunner"


def test_a_worker_answers_reports_and_goes_on(target):
    with Worker(target, 2) as worker:
        with pytest.raises(WorkerError, match="ValueError: no such file"):
            worker.call("open", ROW, "no such file\nat all")
        worker.call("open", ROW, None)
        seconds = worker.call("time", "row", 3, 0.0)
        assert len(seconds) == 1 and seconds[0] > 0
        assert worker.call("shapes") == [(3, 4, 4, 3)]
        # A Python process takes more than 5 MiB, and less than TensorFlow's.
        assert 5 < worker.call("peak_memory") / 2**20 < 200
        with pytest.raises(WorkerError, match="process ended"):
            worker.call("end")
    with pytest.raises(WorkerError, match="No module named"):
        Worker("no_such_module:Runner")


def test_rows_are_timed_in_turn_after_a_warm_up(target, monkeypatch):
    runtime = measuring.RUNTIMES["torch"]
    fake = type(runtime)(target, target)
    monkeypatch.setitem(measuring.RUNTIMES, "dummy", fake)
    rows = [Row(name, image_size=4, runtime="dummy") for name in ("a", "b")]
    lines = []
    timings = measuring.time_rows(rows, {}, 1, [2, 64], 7, 0.0, lines.append)
    assert {size: set(taken) for size, taken in timings.items()} == {
        2: {"a", "b"},
        64: {"a", "b"},
    }
    assert all(len(t.rounds) == 7 for taken in timings.values() for t in taken.values())
    assert [line.split(":")[0] for line in lines] == ["batch 2", "batch 64"]
    timings = measuring.time_rows(
        *(rows, {}, 1, [2, 64], 7, 0.0, lines.append), max_call_seconds=0.0
    )
    assert [set(taken) for taken in timings.values()] == [{"a", "b"}, set()]
    assert measuring.memory_of(rows[0], None, 1, 2) > 5 * 2**20
