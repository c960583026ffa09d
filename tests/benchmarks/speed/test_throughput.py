import copy
import csv
import io
import json
import re
import subprocess
import sys
import types

import pytest

from benchmarks.speed import report, runtimes, throughput
from benchmarks.speed.measuring import memory_of
from benchmarks.speed.results import collect, compare_order
from benchmarks.speed.rows import GEMMS, PLAIN, Row, full_rows, quick_rows, vit_row
from benchmarks.timing import Timing


def constant(seconds):
    return Timing(((seconds,),) * 7)


@pytest.fixture(scope="module")
def results():
    plain, fused = full_rows()[:2]
    half = Row("half", kind="concat")
    rows = [plain, fused, half]
    costs = {"path": "", "gmacs_per_image": 2.0, "gmacs_executed": 1.6}
    exported = {row.name: dict(costs) for row in rows}
    exported["half"] |= {"gmacs_per_image": 1.0, "gmacs_executed": 1.0}
    seconds = dict(zip([row.name for row in rows], (8.0, 4.0, 2.5), strict=True))
    timings = {
        size: {name: constant(size / 8 * s) for name, s in seconds.items()}
        | {gemm.name: constant(7.438e9 / 1e11) for gemm in GEMMS}
        for size in (1, 8)
    }
    settings = {"memory_batch_size": 8, "skipped": {"elastic": "not yet"}}
    return collect(rows, exported, timings, {"half": 2**20}, settings)


def test_rows_are_unique_and_share_files_where_they_can():
    rows = full_rows()
    assert len({row.name for row in rows}) == len(rows)
    elastic = [row for row in rows if row.num_mux]
    names = [f"predict_n{n}" for n in (1, 2, 4)]
    assert [row.signature for row in elastic] == [*names, *names]
    assert len({row.file_key for row in elastic}) == 2
    others = [row.file_key for row in rows if row.file_format == "saved_model"]
    assert len(set(others)) == len(others) - 4
    assert 4 <= len(quick_rows()) <= 8


def test_ratios(results):
    half = results["rows"]["half"]
    # 8 images in 2.5 s, where the fused ViT takes 4 s and plain Keras 8 s.
    assert half["batches"]["8"]["images_per_second"] == pytest.approx(3.2)
    assert half["over_plain_keras"] == pytest.approx(3.2)
    assert half["over_fused_vit"] == pytest.approx(1.6)
    assert half["flop_ratio"] == pytest.approx(2.0)
    assert half["of_ideal"] == pytest.approx(0.8)
    assert half["of_ideal_executed"] == pytest.approx(1.0)
    # 2 x 1 GMAC x 3.2 / s of 100 GFLOP/s.
    assert half["of_gemm_limit"] == pytest.approx(0.064, rel=1e-3)
    assert half["peak_memory_mib"] == 1


def test_tables(results, tmp_path):
    page = report.page(results)
    line = next(line for line in page.splitlines() if line.startswith("| half"))
    assert "| 3.2 | 3.2 | 2,500 / 2,500 | 1 | 3.20 | 1.600 |" in line
    assert "Not measured: elastic (not yet)." in page
    short = report.markdown(results, ["half", "unknown"], ("of_ideal",), details=False)
    assert short.splitlines()[2:] == ["| half | 1.00 | 3.2 | 3.2 | 0.800 |"]
    assert "| – |" in report.markdown(results, ["vit_b16, float32"])
    read = list(csv.DictReader(io.StringIO(report.csv_text(results))))
    assert len(read) == 6 and read[-1]["name"] == "half"
    assert float(read[-1]["p95_ms"]) == pytest.approx(2500)
    report.draw(results, tmp_path / "rows.png")
    assert (tmp_path / "rows.png").read_bytes().startswith(b"\x89PNG")


def test_order_with_ties():
    def entries(**rates):
        return {
            name: {"batches": {"8": {"images_per_second": rate, "spread": 0.02}}}
            for name, rate in rates.items()
        }

    full = entries(a=10.0, b=9.8, c=5.0, only_here=1.0)
    wrong, ties = compare_order(entries(a=8.0, b=8.5, c=5.0), full, 8)
    # Of a and b the full measurement does not know which is faster.
    assert (wrong, ties) == ([], [("a", "b")])
    wrong, ties = compare_order(entries(a=8.0, b=9.8, c=9.0), full, 8)
    assert wrong == [("a", "c")] and ties == [("a", "b")]
    same = copy.deepcopy(full)
    assert compare_order(same, full, 8) == ([], [("a", "b")])


def test_missing_peers_are_reported(monkeypatch):
    monkeypatch.setattr(
        runtimes.importlib.util,
        "find_spec",
        lambda name: None if name in ("torch", "tf2onnx") else object(),
    )
    found, skipped = runtimes.installed(full_rows())
    assert {row.runtime for row in found} == {"tensorflow", "openvino"}
    assert skipped["vit_b16, PyTorch eager, float32"] == "not installed: torch"
    assert skipped["vit_b16, ONNX Runtime, float32"] == "not installed: tf2onnx"


def test_a_quantizer_that_is_missing_leaves_out_its_row(monkeypatch):
    monkeypatch.setattr(
        runtimes.importlib.util,
        "find_spec",
        lambda name: None if name == "nncf" else object(),
    )
    skipped = {"vit_b16, OpenVINO by NNCF, int8": "not installed: nncf"}
    assert runtimes.installed(full_rows())[1] == skipped


def test_int8_files_of_others_are_made_from_their_float_files(tmp_path, monkeypatch):
    from benchmarks.speed import exports

    made = []

    def export_other(model, preprocessor, names, target, file_format):
        made.append(file_format)
        return target

    def quantize(method, path, target, image_size):
        made.append((method, path, image_size))
        return str(target / method)

    monkeypatch.setattr(exports, "export_other", export_other)
    monkeypatch.setattr(exports, "quantize", quantize)
    monkeypatch.setattr(exports.Exporter, "_costs", lambda *_: {})
    monkeypatch.setattr(exports.Exporter, "_model", lambda *_: None)
    exporter = exports.Exporter(tmp_path)
    rows = {row.name: row for row in full_rows()}
    names = ("static, int8", "dynamic, int8", "static, int8")
    paths = [exporter.export(rows[f"vit_b16, ONNX Runtime {n}"])["path"] for n in names]
    floats = exporter.export(rows["vit_b16, ONNX Runtime, float32"])["path"]
    assert floats == str(tmp_path / "0" / "model.onnx")
    assert made == ["onnx", ("static", floats, 224), ("dynamic", floats, 224)]
    assert paths[0] == paths[2] and len({floats, *paths}) == 3


def test_rows_that_were_left_out_have_no_ratios(results):
    plain, _, half = list(results["rows"])
    rows = [Row(plain, fuse=False), Row(half, kind="concat")]
    costs = {"gmacs_per_image": 2.0, "gmacs_executed": 2.0}
    limits = {gemm.name: constant(0.1) for gemm in GEMMS}
    timings = {
        1: {plain: constant(1.0), half: constant(0.2), **limits},
        8: {half: constant(1.6), **limits},
    }
    settings = {"memory_batch_size": 8}
    found = collect(rows, dict.fromkeys((plain, half), costs), timings, {}, settings)
    assert "over_plain_keras" not in found["rows"][half]
    assert found["rows"][half]["of_gemm_limit"] > 0
    assert "of_gemm_limit" not in found["rows"][plain]
    assert found["settings"]["reference_batch_size"] == 8
    assert f"| {PLAIN} | 2.00 | 2.00 | 1.0 | – |" in report.page(found)
    del timings[8]
    found = collect(rows, dict.fromkeys((plain, half), costs), timings, {}, settings)
    assert found["rows"][half]["over_plain_keras"] == pytest.approx(5)


def test_what_was_measured_is_saved_before_what_fails(tmp_path, monkeypatch):
    def time_rows(rows, *_):
        yield 1, {row.name: constant(1.0) for row in rows}
        raise KeyboardInterrupt

    costs = {"path": "", "gmacs_per_image": 2.0, "gmacs_executed": 2.0}
    monkeypatch.setattr(
        throughput, "export_rows", lambda rows, _: {row.name: costs for row in rows}
    )
    monkeypatch.setattr(throughput, "time_rows", time_rows)
    monkeypatch.setattr(throughput.machine, "set_environment", lambda _: None)
    values = types.SimpleNamespace(
        quick=False,
        out=str(tmp_path),
        name="throughput",
        batch_sizes=["1", "8"],
        rows="^vit_b16, float32",
        image_size=32,
        threads=1,
        repeats=7,
        min_seconds=0.0,
        max_call_seconds=1.0,
        memory_batch_size=8,
    )
    with pytest.raises(KeyboardInterrupt):
        throughput.main(values)
    saved = json.loads((tmp_path / "throughput.json").read_text())
    assert saved["settings"]["batch_sizes"] == [1]
    assert saved["rows"]["vit_b16, float32"]["batches"]["1"]["calls"] == 7


@pytest.mark.large
def test_a_row_is_exported_counted_and_run(tmp_path):
    from benchmarks.speed.exports import Exporter

    row = vit_row("vit_nano4", "float32", image_size=32)
    exported = Exporter(tmp_path).export(row)
    assert exported["gmacs_executed"] < exported["gmacs_per_image"]
    runner = runtimes.TensorFlow.__new__(runtimes.TensorFlow)
    # Threads can be set before TensorFlow starts only; this process has started it.
    super(runtimes.TensorFlow, runner).__init__(1)
    runner._loaded = {}
    runner.open(row, exported["path"])
    assert len(runner.time(row.name, 3, 0.0)) == 1
    # TensorFlow's library alone takes more than 100 MiB.
    assert memory_of(row, exported["path"], 1, 3) > 100 * 2**20


@pytest.mark.large
def test_the_quick_command_writes_files_and_tells_the_order(tmp_path):
    command = [
        *(
            sys.executable,
            "-m",
            "benchmarks.speed.throughput",
            "--quick",
            "--allow_load",
        ),
        *("--image_size=32", "--rows=plain|^vit_b16, float32", f"--out={tmp_path}"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert re.search(r"same order as .*throughput.json: (yes|no)", done.stdout)
    names = {path.name for path in tmp_path.glob("throughput*")}
    assert names == {f"throughput_quick.{end}" for end in ("json", "csv", "md", "png")}
