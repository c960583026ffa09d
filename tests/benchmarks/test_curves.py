import json

import pytest

from benchmarks.curves import draw


def test_a_line_per_run(tmp_path):
    for name, epochs in (("first", 1), ("second", 3)):
        history = {"loss": [1.0] * epochs, "val_accuracy": [0.5] * epochs}
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.json").write_text(json.dumps({"history": history}))
    out = tmp_path / "curves.png"
    draw([tmp_path / "first", tmp_path / "second"], out)
    assert out.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="holds no results.json"):
        draw([tmp_path], out)
