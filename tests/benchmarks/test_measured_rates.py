import json

import pytest

from benchmarks.measured_rates import parse_rates, read_rates


def write(path, names, precision="bfloat16"):
    rows = {
        name: {"precision": precision, "images_per_second": {"8": 10.0 * (i + 1)}}
        for i, name in enumerate(names)
    }
    path.write_text(json.dumps({"rows": rows}))
    return path


SEPARATE = [
    "vit_b16, bfloat16",
    "concatplexer_b16_n2, bfloat16",
    "concatplexer_b16_n4, bfloat16",
]


def test_separate_models(tmp_path):
    path = write(tmp_path / "a.json", SEPARATE)
    assert read_rates(path) == {1: 10.0, 2: 20.0, 4: 30.0}


def test_an_elastic_model_is_preferred(tmp_path):
    elastic = [f"elastic, N = {n}, bfloat16" for n in (4, 1, 2)]
    path = write(tmp_path / "a.json", SEPARATE + elastic)
    assert list(read_rates(path).items()) == [(1, 50.0), (2, 60.0), (4, 40.0)]


def test_rows_that_are_not_there(tmp_path):
    path = write(tmp_path / "a.json", SEPARATE[:2])
    with pytest.raises(ValueError, match="no 'concatplexer_b16_n4, bfloat16'.*--rates"):
        read_rates(path)
    path = write(tmp_path / "a.json", SEPARATE)
    with pytest.raises(ValueError, match="in float32.*none"):
        read_rates(path, precision="float32")
    with pytest.raises(ValueError, match="no '32'.*at batch 32"):
        read_rates(path, batch_size=32)


def test_rates_of_the_command_line():
    assert parse_rates(["1:19", "4:39.5"]) == {1: 19.0, 4: 39.5}
    for wrong in (["19"], ["1:"], ["a:1"]):
        with pytest.raises(ValueError, match="Expected --rates=1:R1,2:R2,4:R4"):
            parse_rates(wrong)
