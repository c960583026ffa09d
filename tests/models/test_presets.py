import io
import time

import keras
import numpy as np
import pytest

import keras_concatplexer as kcp
from keras_concatplexer.models.presets import PRESETS, get_preset, preset_cost

QUICK = {"nano4_n2", "ti4_n8", "b16_n2"}


def concat_presets():
    for name, preset in PRESETS.items():
        if preset.kind == "concatplexer":
            large = name.removeprefix("concatplexer_") not in QUICK
            yield pytest.param(name, marks=[pytest.mark.large] if large else [])


@pytest.mark.parametrize("name", concat_presets())
def test_the_traced_count_equals_the_formula(name):
    # In a function, so that no weight is made.
    counted = kcp.flops.count(lambda: kcp.from_preset(name))
    cost, _ = preset_cost(name)
    assert counted.macs_per_image == pytest.approx(cost.macs_per_image, rel=0.01)
    assert counted == cost


def test_an_image_multiplexer_preset_counts_as_its_formula():
    pytest.importorskip("keras_concatplexer.models.image_multiplexer_vit")
    counted = kcp.flops.count(lambda: kcp.from_preset("imagemux_nano4_n4"))
    assert counted == preset_cost("imagemux_nano4_n4")[0]


def test_every_preset_is_listed_without_building_one():
    printed = io.StringIO()
    start = time.perf_counter()
    rows = kcp.list_presets(file=printed)
    assert time.perf_counter() - start < 1
    assert [row.name for row in rows] == list(PRESETS)
    assert len(rows) == 7 * 3 * 2
    lines = printed.getvalue().splitlines()
    assert len(lines) == 1 + len(rows)
    for line, row in zip(lines[1:], rows, strict=True):
        assert line.split()[:3] == [
            row.name,
            f"{row.gmacs_per_image:.3f}",
            f"{row.saving:.1%}",
        ]
        assert 0 < row.saving < 1
        assert line.endswith(row.source)


def test_the_table_goes_to_standard_output(capsys):
    kcp.list_presets()
    assert "GMACs per image" in capsys.readouterr().out


def test_the_headline_preset():
    cost, vit_cost = preset_cost("concatplexer_b16_n2")
    assert vit_cost.gmacs_per_image == pytest.approx(17.56, rel=0.005)
    assert 0.232 <= cost.saving(vit_cost) <= 0.238


def test_only_what_the_paper_reports_is_from_the_paper():
    from_paper = {name for name, row in PRESETS.items() if row.source != "ours"}
    assert from_paper == {"concatplexer_b16_n2"}
    assert "arXiv 2308.11199" in PRESETS["concatplexer_b16_n2"].source


def test_a_preset_of_other_images_and_options():
    model = kcp.from_preset(
        "concatplexer_nano4_n2", (16, 16, 1), 10, num_mux=4, attention_scope="image"
    )
    assert model.input_shape == (None, 16, 16, 1)
    assert model.output_shape == (None, 10)
    assert (model.num_mux, model.attention_scope) == (4, "image")
    assert model.patchifier_depth == 3
    assert model.name == "concatplexer_nano4_n2"


def test_a_given_vit_is_wrapped():
    vit = kcp.vit.keras_cv_vit("vit_nano4", (16, 16, 3), 10)
    model = kcp.from_preset("concatplexer_nano4_n2", [16, 16, 3], 10, vit=vit)
    assert model.vit is vit
    with pytest.raises(ValueError, match="has num_classes=10"):
        kcp.from_preset("concatplexer_nano4_n2", num_classes=11, vit=vit)
    with pytest.raises(ValueError, match="has image_shape=\\(16, 16, 3\\)"):
        kcp.from_preset("concatplexer_nano4_n2", image_shape=(32, 32, 3), vit=vit)


def test_an_image_multiplexer_preset():
    module = pytest.importorskip("keras_concatplexer.models.image_multiplexer_vit")
    model = kcp.from_preset("imagemux_nano4_n2", (16, 16, 3), 10)
    assert isinstance(model, module.ImageMultiplexerViT)
    assert (model.num_mux, model.patchifier_depth) == (2, 0)


def test_unknown_names_get_close_ones():
    with pytest.raises(ValueError, match="Did you mean concatplexer_b16_n2"):
        kcp.from_preset("concatplexer_vit_b16_n2")
    with pytest.raises(ValueError, match="pass it as `vit=`"):
        get_preset("something else")


def test_another_backend_takes_keras_hub(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    model = kcp.from_preset("concatplexer_nano4_n2", (8, 8, 3), 5)
    assert isinstance(model.vit, kcp.vit.KerasHubViT)


def test_a_trained_preset_of_keras_hub_is_wrapped(tmp_path):
    hub_vit = kcp.vit.keras_hub_vit("vit_nano4", 5, image_shape=(8, 8, 3))
    hub_vit.backbone.save_to_preset(tmp_path / "preset")
    model = kcp.from_preset(
        "concatplexer_nano4_n2", num_classes=7, vit=str(tmp_path / "preset")
    )
    assert model.output_shape == (None, 7)
    trained = hub_vit.backbone.get_weights()
    for ours, theirs in zip(model.vit.backbone.get_weights(), trained, strict=True):
        np.testing.assert_array_equal(ours, theirs)
