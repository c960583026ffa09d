import io
import time

import keras
import numpy as np
import pytest

import keras_concatplexer as kcp
from keras_concatplexer.models.presets import PRESETS, get_preset
from tests.flops.closed_form import vit_cost

QUICK = {"concatplexer_nano4_n2", "imagemux_nano4_n4"}


def test_the_costs_are_those_of_the_sizes():
    for preset in PRESETS.values():
        side = preset.image_size
        cost = vit_cost(preset.size, (side, side, 3), 1000)
        assert preset.vit_macs_per_image == cost.macs_per_image


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in QUICK else [pytest.mark.large])
        for name in PRESETS
    ],
)
def test_the_costs_are_those_of_the_traced_graph(name):
    # In a function, so that no weight is made.
    counted = kcp.flops.count(lambda: kcp.from_preset(name))
    assert counted.macs_per_image == PRESETS[name].macs_per_image


def test_every_preset_is_listed_without_building_one():
    printed = io.StringIO()
    start = time.perf_counter()
    rows = kcp.list_presets(file=printed)
    assert time.perf_counter() - start < 1
    assert [row.name for row in rows] == list(PRESETS)
    assert len(rows) == 8 * 3 * 2
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
    preset = get_preset("concatplexer_b16_n2")
    assert preset.vit_macs_per_image == pytest.approx(17.56e9, rel=0.005)
    assert 0.232 <= preset.saving <= 0.238


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


def test_a_vit_of_another_depth_is_split_in_half(tiny_vit):
    model = kcp.from_preset("concatplexer_b16_n2", vit=tiny_vit)
    assert model.patchifier_depth == 1


def test_an_image_multiplexer_preset():
    model = kcp.from_preset("imagemux_nano4_n2", (16, 16, 3), 10)
    assert isinstance(model, kcp.ImageMultiplexerViT)
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
