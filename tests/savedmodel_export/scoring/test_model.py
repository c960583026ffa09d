import json
import shutil

import numpy as np
import pytest

from savedmodel_export.scoring.model import Model, ModelInfo


@pytest.fixture(scope="module")
def models(make_served):
    """Function: kind -> `Model`."""
    made = {}

    def get(kind):
        if kind not in made:
            made[kind] = Model(ModelInfo(make_served(kind).version))
        return made[kind]

    return get


@pytest.mark.parametrize(
    "kind", ["group", pytest.param("image", marks=pytest.mark.large)]
)
def test_images_that_cannot_be_decoded_are_left_out(
    models, make_served, pixels, encoded, kind
):
    contents = list(encoded)
    contents[3] = contents[7] = b"text"
    good, outputs, errors = models(kind).answer(contents)
    assert good == [0, 1, 2, 4, 5, 6, 8] and list(errors) == [3, 7]
    for reason in errors.values():
        assert reason.startswith("Not an image: expected a JPEG") and "[[" not in reason
    # In group scope, too, the answers are those of the good ones together.
    expected = make_served(kind).live(pixels[good])
    np.testing.assert_allclose(outputs["logits"], expected, atol=1e-4)
    assert outputs["class_ids"].tolist() == expected.argmax(-1).tolist()


def test_none_can_be_decoded(models):
    assert models("group").answer([b"x", b""])[:2] == ([], {})


@pytest.mark.large
def test_another_n(make_served, pixels, encoded):
    info = ModelInfo(make_served("elastic").version, num_mux=4)
    assert info.signature == "serve_bytes_n4" and info.mixes_images
    assert not ModelInfo(make_served("elastic").version, num_mux=1).mixes_images
    _, outputs, _ = Model(info).answer(encoded)
    served = make_served("elastic")
    expected = served.answer("predict_n4", pixels.astype("float32"))
    np.testing.assert_allclose(outputs["logits"], expected["logits"], atol=1e-4)


@pytest.fixture
def version(make_served, tmp_path):
    return shutil.copytree(make_served("group").version, tmp_path / "1")


def test_versions_that_cannot_be_used(version, make_served):
    with pytest.raises(ValueError, match="has no signature serve_bytes_n3. It has"):
        ModelInfo(version, num_mux=3)
    labels = version / "assets.extra" / "labels.txt"
    content = labels.read_text()
    labels.write_text(content + "one more\n")
    with pytest.raises(ValueError, match="11 lines for 10 classes"):
        ModelInfo(version)
    labels.unlink()
    with pytest.raises(ValueError, match="labels.txt is missing or damaged"):
        ModelInfo(version)
    labels.write_text(content)
    card = version / "model_card.json"
    for wrong in ("", "[]", "{}", json.dumps({"signatures": None})):
        card.write_text(wrong)
        with pytest.raises(ValueError, match="model_card.json .*missing or damaged"):
            ModelInfo(version)
    with pytest.raises(ValueError, match="is no SavedModel. Name a version folder"):
        ModelInfo(version.parent)


@pytest.mark.parametrize("name", ["saved_model.pb", "variables"])
def test_a_damaged_model(version, name):
    info = ModelInfo(version)
    path = version / name
    if path.is_dir():
        (path,) = path.glob("*.data-*")
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 99] = bytes(99)
    path.write_bytes(content)
    with pytest.raises(ValueError, match="cannot be loaded: "):
        Model(info)


def test_outputs_that_it_has_not(make_served):
    with pytest.raises(ValueError, match="has no output features2"):
        Model(ModelInfo(make_served("group").version), ["logits", "features2"])
