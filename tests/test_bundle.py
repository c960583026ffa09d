import numpy as np
import pytest

import keras_concatplexer as kcp


def test_round_trip(make_vit, images, tmp_path, recwarn):
    model = kcp.ConcatPlexer(make_vit(), num_mux=2)
    model.save(tmp_path / "last.keras")
    preprocessor = kcp.preprocessing.ImagePreprocessor((16, 16, 3), std=0.25)
    kcp.bundle.write_description(tmp_path, preprocessor, ["cat", "dog"])
    recwarn.clear()
    loaded = kcp.bundle.load_model(tmp_path, "last")
    assert not [w for w in recwarn if "build()" in str(w.message)]
    np.testing.assert_array_equal(loaded(images(3)), model(images(3)))
    description = kcp.bundle.read_description(tmp_path)
    assert description.class_names == ("cat", "dog")
    assert description.preprocessor.get_config()["std"] == 0.25
    assert description.dtype_policy == "float32"


def test_errors(tmp_path, global_dtype_policy):
    with pytest.raises(ValueError, match="holds no trained model"):
        kcp.bundle.load_model(tmp_path)
    with pytest.raises(ValueError, match="`checkpoint` must be one of"):
        kcp.bundle.load_model(tmp_path, "first")
    preprocessor = kcp.preprocessing.ImagePreprocessor((16, 16, 3))
    kcp.bundle.write_description(tmp_path, preprocessor, ["cat"])
    with pytest.raises(ValueError, match="holds no checkpoint best.keras"):
        kcp.bundle.load_model(tmp_path)
    global_dtype_policy("mixed_bfloat16")
    with pytest.raises(ValueError, match="made under the dtype policy 'float32'"):
        kcp.bundle.load_model(tmp_path)
