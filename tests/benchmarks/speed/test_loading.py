import pytest

from benchmarks.speed.loading import loading_table, measure
from keras_concatplexer.preprocessing import ImagePreprocessor
from savedmodel_export import export


@pytest.mark.large
def test_a_model_is_loaded_by_the_c_library(same_vit, tmp_path):
    preprocessor = ImagePreprocessor(same_vit.input_shape[1:])
    row = measure(export(same_vit, preprocessor, tuple("0123456789"), tmp_path / "vit"))
    assert row["precision"] == "float32" and row["seconds"] > 0
    assert 0 < row["files"] < row["loaded"] <= row["answered"]
    first, _, line = loading_table([row]).splitlines()
    assert "peak at load, MiB" in first and line.startswith(f"| {row['model']} |")


def test_what_is_no_version_folder(tmp_path):
    with pytest.raises(ValueError, match="is no version folder, it has no model_card"):
        measure(tmp_path)
