import importlib.util
import json

import keras
import numpy as np
import pytest

from savedmodel_export import other_formats
from savedmodel_export.formats import FORMATS
from savedmodel_export.other_formats import export_other
from savedmodel_export.verify.verification import VerificationError

PACKAGES = {
    "litert": ("tensorflow",),
    "onnx": ("onnx", "tf2onnx", "onnxruntime"),
    "openvino": ("openvino",),
}


def missing(file_format):
    found = importlib.util.find_spec
    return [name for name in PACKAGES[file_format] if found(name) is None]


@pytest.mark.parametrize(
    "kind",
    [
        "group",
        pytest.param("vit", marks=pytest.mark.large),
        pytest.param("image", marks=pytest.mark.large),
    ],
)
@pytest.mark.parametrize("file_format", FORMATS)
def test_answers_as_the_live_model(make_served, tmp_path, pixels, file_format, kind):
    if missing(file_format):
        pytest.skip(f"not installed: {', '.join(missing(file_format))}")
    served = make_served(kind)
    arguments = (served.model, served.preprocessor, served.class_names, tmp_path)
    version = export_other(*arguments, file_format, keep=1)
    assert version == tmp_path / "1"
    run = FORMATS[file_format].load(version / FORMATS[file_format].file)
    for batch_size in (1, 2, 5):
        images = pixels[:batch_size].astype("float32")
        np.testing.assert_allclose(run(images), served.live(images), atol=1e-4)
    card = json.loads((version / "model_card.json").read_text())
    assert card["format"] == file_format
    assert (version / "labels.txt").read_text().splitlines()[3] == "class 3"


@pytest.fixture
def classifier():
    return keras.Sequential(
        [keras.Input((16, 16, 3)), keras.layers.Flatten(), keras.layers.Dense(10)]
    )


def test_nothing_is_published_when_the_answers_differ(
    make_served, classifier, tmp_path, monkeypatch
):
    monkeypatch.setattr(other_formats, "default_tolerance", lambda precision: -1.0)
    with pytest.raises(VerificationError, match="model.tflite does not answer"):
        export_other(
            *(classifier, make_served("vit").preprocessor, [*"abcdefghij"], tmp_path),
            "litert",
        )
    assert [path.name for path in tmp_path.iterdir()] == [".savedmodel_export"]


def test_errors(make_served, classifier, tmp_path):
    arguments = (classifier, make_served("vit").preprocessor, [*"abcdefghij"], tmp_path)
    with pytest.raises(ValueError, match="`file_format` must be one of"):
        export_other(*arguments, "torch")
    for file_format in ("onnx", "openvino"):
        if missing(file_format):
            with pytest.raises(ValueError, match="needs the package .* pip install"):
                export_other(*arguments, file_format)
    assert [path.name for path in tmp_path.iterdir()] == [".savedmodel_export"]
