import keras
import numpy as np
import pytest

import keras_concatplexer as kcp
from savedmodel_export.parts import check_parts

NAMES = tuple("0123456789")


def test_names_may_be_an_array(same_vit):
    preprocessor = kcp.preprocessing.ImagePreprocessor(same_vit.input_shape[1:])
    found = check_parts(same_vit, preprocessor, np.array(NAMES), "served")
    assert found == NAMES
    encoder = kcp.vit.with_classes(same_vit, None)
    assert check_parts(encoder, preprocessor, None, "served") is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"preprocessor": None}, "`preprocessor` must be a .*Received: .*None"),
        ({"preprocessor": keras.layers.Rescaling(1 / 255)}, "ImagePreprocessor"),
        ({"image_shape": (8, 8, 3)}, r"takes images of .*makes images of \(8, 8, 3\)"),
        ({"class_names": {0: "a"}}, "one name for each of the model's 10 classes"),
        ({"class_names": "0123456789"}, "Expected a sequence of class names"),
        (
            {"export_dir": ""},
            "`export_dir` must name a folder. Received: export_dir=''",
        ),
        ({"export_dir": None}, "must name a folder"),
    ],
)
def test_parts_that_do_not_fit(same_vit, change, message):
    change = dict(change)
    image_shape = change.pop("image_shape", same_vit.input_shape[1:])
    parts = {
        "preprocessor": kcp.preprocessing.ImagePreprocessor(image_shape),
        "class_names": NAMES,
        "export_dir": "served",
        **change,
    }
    with pytest.raises(ValueError, match=message):
        check_parts(same_vit, **parts)
