import collections
import csv
import json
import threading

import numpy as np
import pytest

from savedmodel_export.client import classification
from savedmodel_export.client.answers import ANSWER, INPUT, SERVER, RequestError
from savedmodel_export.client.classification import Classification, mixed_by
from savedmodel_export.client.table import Table
from tests.savedmodel_export.client.faulty.fake_servers import REFUSAL, classify


class Client:
    """Answers like the fake servers; some images fail as they say."""

    def __init__(self, mixes=False):
        self.asked, self.mixes = [], mixes
        self.in_flight, self.most = 0, 0
        self._lock = threading.Lock()

    def predict(self, inputs, signature):
        (contents,) = inputs.values()
        with self._lock:
            self.asked.append(contents)
            self.in_flight += 1
            self.most = max(self.most, self.in_flight)
        try:
            for fault in (INPUT, ANSWER, SERVER):
                if any(content.startswith(fault.encode()) for content in contents):
                    raise RequestError(f"the {fault}\nis wrong", fault)
            return classify(contents, self.mixes)
        finally:
            with self._lock:
                self.in_flight -= 1


@pytest.fixture
def make(tmp_path):
    """Function: contents -> paths of files that hold them."""

    def make(*contents):
        paths = [tmp_path / f"{index:04}.png" for index in range(len(contents))]
        for path, content in zip(paths, contents, strict=True):
            if content is not None:
                path.write_bytes(content)
        return paths

    return make


def rows_of(client, paths, batch_size=3, concurrency=1, done=frozenset()):
    batches = Classification(client, batch_size, concurrency).rows(paths, done)
    return [row for batch in batches for row in batch]


@pytest.mark.parametrize("concurrency", [1, 4])
def test_one_row_per_file_in_order(make, concurrency):
    paths = make(*(bytes([i]) for i in range(20)))
    client = Client()
    rows = rows_of(client, paths, 3, concurrency)
    assert [row["file"] for row in rows] == [str(path) for path in paths]
    assert [row["class_id"] for row in rows] == [i % 5 for i in range(20)]
    assert {row["class"] for row in rows} == {f"class {i}" for i in range(5)}
    assert client.most <= concurrency


def test_only_the_file_at_fault_gets_the_error(make):
    paths = make(b"a", b"input", b"c", b"answer", None, b"", b"g", None, None, b"j")
    client = Client()
    rows = rows_of(client, paths, 4, 2)
    errors = {i: row.get("error") for i, row in enumerate(rows) if "error" in row}
    assert errors == {
        1: "the input is wrong",
        3: "the answer is wrong",
        4: "No such file or directory",
        5: "empty file",
        7: "No such file or directory",
        8: "No such file or directory",
    }
    # The files that could be read were asked together without those that could not.
    assert [b"g"] in client.asked


def test_a_batch_of_nothing_is_not_asked(make):
    client = Client()
    assert len(rows_of(client, make(None, b""), 2)) == 2
    assert client.asked == []


def test_a_server_that_answers_nothing_ends_the_run(make):
    client = Client()
    paths = make(b"a", b"b", b"server", *[b"x"] * 50)
    found = []
    with pytest.raises(RequestError, match="the server"):
        for rows in Classification(client, 2, 2).rows(paths):
            found += rows
    assert len(found) == 2 and len(client.asked) < 5


def test_a_server_that_fails_all_the_time_ends_the_run(make, monkeypatch):
    monkeypatch.setattr(classification, "MAX_FAILURES", 4)
    paths = make(
        *[b"answer"] * 3, b"good", *[b"answer"] * 3, b"input", *[b"answer"] * 4
    )
    found = []
    with pytest.raises(RequestError, match="failed at 4 images in a row: the an") as e:
        for rows in Classification(Client(), 1).rows(paths):
            found += rows
    assert e.value.fault == SERVER
    # Those that ended it have no row: they are asked again when the run goes on.
    assert len(found) == 11


def test_batches_that_are_done_are_skipped_whole(make):
    paths = make(*(bytes([i]) for i in range(9)))
    done = {str(path) for path in paths[:4]}
    client = Client()
    rows = rows_of(client, paths, 3, done=done)
    assert [row["file"] for row in rows] == [str(path) for path in paths[3:]]
    assert client.asked[0] == [b"\x03", b"\x04", b"\x05"]


def test_an_answer_of_another_kind_of_model(make):
    client = Client()
    client.predict = lambda inputs, signature: {"logits": np.zeros((1, 5))}
    with pytest.raises(RequestError, match="has no class_ids, classes, prob") as caught:
        rows_of(client, make(b"a"))
    assert caught.value.fault == SERVER


@pytest.mark.parametrize("mixes", [False, True])
def test_learns_whether_a_model_mixes_images(make, mixes):
    paths = make(None, b"input", b"answer", b"\x01", b"\x01", b"\x02", b"\x03")
    client = Client(mixes)
    changed = mixed_by(client, paths)
    assert (0.01 < changed < 0.1) if mixes else changed == 0
    assert client.asked[-1] == [b"\x01", b"\x02"]


def test_cannot_learn_it_from_one_image(make):
    assert mixed_by(Client(True), make(b"a", b"a", b"input")) == 0
    assert mixed_by(Client(True), make()) == 0
    with pytest.raises(RequestError, match="the server"):
        mixed_by(Client(), make(b"server"))


def test_the_words_of_a_refusal():
    # What the fake servers refuse is what a real one says.
    with pytest.raises(ValueError, match=REFUSAL):
        classify([b"bad image"])
    counted = collections.Counter(classify([b"\x06"])["class_ids"].tolist())
    assert counted == {1: 1}


def test_features_of_a_model_without_classes(make, tmp_path):
    class Encoder:
        def predict(self, inputs, signature):
            values = [[float(content[0]), 0.5] for content in inputs["image_bytes"]]
            return {"features": np.array(values, "float32")}

    paths = make(b"a", b"b", None)
    rows = rows_of(Encoder(), paths)
    assert [row.get("features") for row in rows] == [[97.0, 0.5], [98.0, 0.5], None]
    assert mixed_by(Encoder(), paths) == 0
    table = Table(tmp_path / "features.csv", {})
    table.write(rows)
    assert table.finish([str(path) for path in paths]) == 1
    with open(tmp_path / "features.csv", newline="") as file:
        head, first, _ = csv.reader(file)
    assert head == ["file", "features"]
    assert json.loads(first[1]) == [97.0, 0.5]
