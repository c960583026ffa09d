import pathlib

import pytest

from benchmarks.speed import measuring, runtimes
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


def test_rows_are_timed_in_turn_after_a_warm_up(target, monkeypatch, capsys):
    import dummy_runner

    fake = runtimes.Runtime(dummy_runner.DummyRunner)
    monkeypatch.setitem(measuring.RUNTIMES, "dummy", fake)
    rows = [Row(name, image_size=4, runtime="dummy") for name in ("a", "b")]
    rows.append(Row("limit", kind="gemm", image_size=4, runtime="dummy"))
    timed = measuring.time_rows(rows, {}, 1, [2, 64], 7, 0.0)
    # Each batch size is there before the next one is begun.
    batch_size, first = next(timed)
    assert batch_size == 2 and set(first) == {"a", "b", "limit"}
    assert capsys.readouterr().out.startswith("batch 2:")
    ((batch_size, second),) = timed
    assert batch_size == 64 and all(len(t.rounds) == 7 for t in second.values())
    timings = dict(measuring.time_rows(rows, {}, 1, [2, 64], 7, 0.0, 0.0))
    assert [set(taken) for taken in timings.values()] == [set(first), {"limit"}]
    assert measuring.memory_of(rows[0], None, 1, 2) > 5 * 2**20
