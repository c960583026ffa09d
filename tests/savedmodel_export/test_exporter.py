import pathlib

import numpy as np
import pytest
import tensorflow as tf

import keras_concatplexer as kcp
from savedmodel_export import export, exporter

NAMES = [f"class {i}" for i in range(10)]


@pytest.fixture
def preprocessor():
    return kcp.preprocessing.ImagePreprocessor((16, 16, 3))


@pytest.fixture
def raw_images():
    rng = np.random.default_rng(0)
    return rng.uniform(0, 255, (9, 16, 16, 3)).astype("float32")


@pytest.mark.parametrize("scope", ["group", "image"])
def test_answers_as_the_live_model(
    make_vit, scramble, preprocessor, raw_images, tmp_path, scope
):
    model = scramble(kcp.ConcatPlexer(make_vit(), 2, attention_scope=scope))
    version = export(model, preprocessor, NAMES, tmp_path)
    assert version == tmp_path / "1"
    signature = tf.saved_model.load(str(version)).signatures["serving_default"]
    for batch_size in (1, 2, 5, 9):
        images = raw_images[:batch_size]
        outputs = {k: v.numpy() for k, v in signature(images=images).items()}
        assert set(outputs) == {"logits", "probabilities", "class_ids", "classes"}
        expected = np.asarray(model(preprocessor(images)))
        np.testing.assert_allclose(outputs["logits"], expected, atol=1e-4)
        np.testing.assert_allclose(outputs["probabilities"].sum(-1), 1, atol=1e-5)
        np.testing.assert_array_equal(outputs["class_ids"], expected.argmax(-1))
        assert [name.decode() for name in outputs["classes"]] == [
            NAMES[i] for i in outputs["class_ids"]
        ]


def test_every_weight_is_stored_once(make_vit, preprocessor, tmp_path):
    model = kcp.ConcatPlexer(make_vit(), num_mux=2)
    version = export(model, preprocessor, NAMES, tmp_path)
    stored = sum(p.stat().st_size for p in version.glob("variables/*.data-*"))
    assert stored < 1.05 * sum(v.numpy().nbytes for v in model.variables)


def test_versions_count_up(make_vit, preprocessor, tmp_path):
    vit = make_vit()
    (tmp_path / "7").mkdir()
    assert export(vit, preprocessor, NAMES, tmp_path) == tmp_path / "8"
    assert {path.name for path in tmp_path.iterdir()} == {"7", "8"}


def test_nothing_is_published_when_the_answers_differ(
    make_vit, preprocessor, tmp_path, monkeypatch
):
    monkeypatch.setattr(exporter, "TOLERANCE", -1.0)
    with pytest.raises(RuntimeError, match="does not answer as the live model"):
        export(make_vit(), preprocessor, NAMES, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_errors(make_vit, preprocessor, tmp_path):
    with pytest.raises(ValueError, match="each of the model's 10 classes"):
        export(make_vit(), preprocessor, ["cat"], tmp_path)
    (tmp_path / "file").write_text("")
    target = pathlib.Path(tmp_path, "file", "export")
    with pytest.raises(ValueError, match="cannot be written: Not a directory"):
        export(make_vit(), preprocessor, NAMES, target)
