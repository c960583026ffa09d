import json

import pytest

from benchmarks.adaptive.measured_rates import parse_rates, read_rates


def write(path, names, precision="bfloat16"):
    rows = {
        name: {
            "precision": precision,
            "batches": {"8": {"images_per_second": 10.0 * (i + 1)}},
        }
        for i, name in enumerate(names)
    }
    path.write_text(json.dumps({"rows": rows}))
    return path


def test_the_rows_of_the_elastic_model(tmp_path):
    elastic = [f"elastic_b16 at N = {n}, bfloat16" for n in (4, 1, 2)]
    path = write(tmp_path / "a.json", ["vit_b16, bfloat16", *elastic])
    assert list(read_rates(path).items()) == [(1, 30.0), (2, 40.0), (4, 20.0)]


@pytest.mark.parametrize(
    "options", [{"precision": "float32"}, {"batch_size": 32}, {"names": ["vit_b16"]}]
)
def test_rows_that_are_not_there(tmp_path, options):
    names = options.pop("names", ["elastic, N = 1"])
    path = write(tmp_path / "a.json", names)
    with pytest.raises(ValueError, match="no images per second of an elastic.*--rates"):
        read_rates(path, **options)


def test_rates_of_the_command_line():
    assert parse_rates(["1:19", "4:39.5"]) == {1: 19.0, 4: 39.5}
    for wrong in (["19"], ["1:"], ["a:1"]):
        with pytest.raises(ValueError, match="Expected --rates=1:R1,2:R2,4:R4"):
            parse_rates(wrong)
