"""The command, in this process and by processes that are killed."""

import json
import types

import pytest
from absl import flags

from savedmodel_export.client import command
from savedmodel_export.client.answers import SERVER, RequestError
from tests.savedmodel_export.client.faulty import faults


@pytest.fixture
def folder(tmp_path):
    """Nine images, of which 3 and 7 are bad."""
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(9):
        content = b"bad" if i in (3, 7) else b"%d" % i
        (folder / f"{i}.png").write_bytes(content)
    return folder


# The flags themselves are defined once a process, by the command that runs in it.
DEFAULTS = {
    "model": "m",
    "label": None,
    "model_version": None,
    "rest": "http://localhost:8501",
    "grpc": None,
    "tls": False,
    "root_certificates": None,
    "wait_seconds": 0.0,
    "timeout": 60.0,
    "retries": 4,
    "batch_size": 8,
    "concurrency": 1,
    "adaptive": False,
    "target_p95_ms": None,
    "num_mux": None,
    "output": "-",
}


def values(**changed):
    """Values of the flags."""
    return types.SimpleNamespace(**{**DEFAULTS, **changed})


def run(monkeypatch, server, *arguments, **changed):
    """Runs the command; returns its message, empty at success."""
    name = "rest" if "http" in server.address else "grpc"
    chosen = values(**{name: server.address, "timeout": 5.0, **changed})
    monkeypatch.setattr(flags, "FLAGS", chosen)
    try:
        command.main(*map(str, arguments))
    except SystemExit as end:
        return str(end)
    finally:
        monkeypatch.undo()
    return ""


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_both_tables(monkeypatch, server, folder, tmp_path):
    output = tmp_path / "out.jsonl"
    message = run(monkeypatch, server, folder, output=str(output), batch_size=4)
    assert message == (
        f"error: 2 of 9 files were not classified, see {tmp_path / 'out.errors.jsonl'}"
    )
    assert [row["class_id"] for row in read(output)] == [
        (48 + i) % 5 for i in (0, 1, 2, 4, 5, 6, 8)
    ]
    assert [row["file"][-5:] for row in read(tmp_path / "out.errors.jsonl")] == [
        "3.png",
        "7.png",
    ]
    assert names(tmp_path) == ["images", "out.errors.jsonl", "out.jsonl"]
    again = run(monkeypatch, server, folder, output=str(output))
    assert "out.jsonl exists" in again


def test_a_single_file(monkeypatch, rest_server, folder, capsys):
    assert run(monkeypatch, rest_server, folder / "1.png") == ""
    (row,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert row["file"] == str(folder / "1.png") and row["class"] == "class 4"


def test_goes_on_after_the_server_was_lost(monkeypatch, server, folder, tmp_path):
    output, rest = tmp_path / "out.jsonl", "http" in server.address
    chosen = {"output": str(output), "batch_size": 2, "concurrency": 1}
    lose = faults.says(404) if rest else faults.GRPC_FAULTS["NOT_FOUND"]
    answer, asked = type(server).answer, []

    def answer_twice(contents, signature):
        asked.append(contents)
        # Three requests look whether the model mixes images.
        if len(asked) == 5:
            server.fault = lose
        return answer(server, contents, signature)

    server.answer = answer_twice
    message = run(monkeypatch, server, folder, **chosen)
    assert "404" in message or "NOT_FOUND" in message
    assert f"what is done stands in {output}.partial: run it again" in message
    assert names(tmp_path) == ["images", "out.jsonl.partial"]
    done = len(read(tmp_path / "out.jsonl.partial")) - 1
    assert 0 < done < 9
    del server.answer
    server.fault = None
    server.asked.clear()
    run(monkeypatch, server, folder, **chosen)
    assert names(tmp_path) == ["images", "out.errors.jsonl", "out.jsonl"]
    rows = read(output) + read(tmp_path / "out.errors.jsonl")
    assert sorted(row["file"][-5:] for row in rows) == [f"{i}.png" for i in range(9)]
    assert b"8" in server.asked[-1] and [b"0", b"1"] in server.asked[:3]
    assert [b"0", b"1"] not in server.asked[3:]


def test_nothing_is_opened_before_all_is_checked(
    monkeypatch, rest_server, folder, tmp_path
):
    output = tmp_path / "out.csv"
    chosen = {"output": str(output)}
    for message, arguments, changed in (
        ("--target_p95_ms needs --adaptive", [folder], {"target_p95_ms": 9.0}),
        ("nothing does not exist", [tmp_path / "nothing"], {}),
        ("cannot be", [folder], {"rest": "http://localhost:1", "retries": 0}),
        ("Expected an address", [folder], {"rest": "localhost"}),
        ("No such file", [folder], {"grpc": "x:1", "tls": True}),
    ):
        if "grpc" in changed:
            changed["root_certificates"] = str(tmp_path / "ca.pem")
        assert message in run(monkeypatch, rest_server, *arguments, **chosen, **changed)
        assert names(tmp_path) == ["images"]
    taken = folder / "1.png"
    message = run(monkeypatch, rest_server, folder, output=str(taken))
    assert "has the name of an image" in message and taken.read_bytes() == b"1"


def test_warns_of_a_model_that_mixes_images(monkeypatch, server, folder, capsys):
    for mixes in (True, False):
        server.mixes = mixes
        run(monkeypatch, server, folder)
        said = " ".join(capsys.readouterr().err.split())
        warning = "another image beside it changed an answer by"
        assert (warning in said) == mixes


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"target_p95_ms": 9.0}, "--target_p95_ms needs --adaptive"),
        ({"num_mux": ["1"]}, "--num_mux needs --adaptive"),
        ({"adaptive": True}, "--adaptive needs --target_p95_ms"),
        (
            {"adaptive": True, "target_p95_ms": 9.0, "num_mux": ["a"]},
            "Expected --num_mux=1,2,4. Received: a",
        ),
        ({"tls": True}, "--tls needs --grpc"),
        ({"model": ""}, "--model must name a model"),
        ({"label": "stable", "model_version": 1}, "name two versions: give one"),
        ({"root_certificates": "ca.pem"}, "needs --rest=https"),
        ({"timeout": float("inf")}, "--timeout must be a number from 0 to 1000000"),
        ({"timeout": float("nan")}, "--timeout must be a number"),
        ({"wait_seconds": 1e18}, "--wait_seconds must be a number"),
        (
            {"adaptive": True, "target_p95_ms": -1.0},
            "--target_p95_ms must be a number",
        ),
    ],
)
def test_flags_that_contradict_each_other(changed, message):
    with pytest.raises(ValueError, match=message):
        command.check_flags(values(**changed))


def adaptive(**changed):
    return values(adaptive=True, target_p95_ms=100.0, concurrency=8, **changed)


def test_an_elastic_model(connect, server, folder, monkeypatch, capsys):
    server.signatures = ["serving_default", *(f"serve_bytes_n{n}" for n in (1, 2, 4))]
    client, signature = command.make_adaptive(connect(), adaptive())
    assert signature == "serve_bytes_n4"
    assert "0 at N = 1, 0 at N = 2, 0 at N = 4" in client.summary()
    for flag, message in (
        (["1", "8"], r"the model serves N = \[1, 2, 4\]"),
        (["4", "1"], "must be increasing"),
    ):
        with pytest.raises(ValueError, match=message):
            command.make_adaptive(connect(), adaptive(num_mux=flag))
    chosen = {"adaptive": True, "target_p95_ms": 5000.0, "num_mux": ["2"]}
    run(monkeypatch, server, folder, **chosen, batch_size=3)
    assert set(server.asked_signatures) == {"serve_bytes_n2"}
    assert "at N = 2; N moved 0 times" in capsys.readouterr().err


def test_a_model_that_is_not_elastic(connect):
    with pytest.raises(ValueError, match="no signature serve_bytes_n1"):
        command.make_adaptive(connect(), adaptive())


@pytest.mark.parametrize("metadata", [b"{}", b"[]", b"null", b'{"metadata": null}'])
def test_a_server_that_does_not_tell_its_signatures(
    rest_server, monkeypatch, folder, metadata
):
    rest_server.fault = faults.says(200, metadata)
    chosen = {"adaptive": True, "target_p95_ms": 100.0}
    message = run(monkeypatch, rest_server, folder, **chosen)
    assert "does not tell its signatures" in message and "--num_mux=1,2,4" in message
    # Where it does not tell, the flag is believed.
    client = command.make_client(values(rest=rest_server.address))
    chosen, _ = command.make_adaptive(client, adaptive(num_mux=["2", "4"]))
    assert "0 at N = 2, 0 at N = 4" in chosen.summary()


def test_waits_for_a_server_that_loads():
    times = iter(range(100))
    asked = []

    class Loading:
        def signatures(self):
            asked.append(1)
            if len(asked) < 4:
                raise RequestError("HTTP 404: Servable not found", SERVER)

    command.wait_until_served(Loading(), 60, lambda: next(times), lambda s: None)
    assert len(asked) == 4
    asked.clear()
    times = iter(range(0, 100, 2))
    with pytest.raises(RequestError, match="not served after 5 s: HTTP 404") as caught:
        command.wait_until_served(Loading(), 5, lambda: next(times), lambda s: None)
    assert caught.value.fault == SERVER
