import numpy as np
import pytest

import keras_concatplexer as kcp
from savedmodel_export import inference
from savedmodel_export.fused import cpu
from savedmodel_export.inference import choose_inference, infer_at_each


def set_features(monkeypatch, tmp_path, features):
    info = tmp_path / "cpuinfo"
    info.write_text(f"model name\t: A processor\nflags\t\t: fpu {features}\n")
    monkeypatch.setattr(cpu, "CPU_INFO", info)


@pytest.fixture
def warnings(monkeypatch):
    seen = []
    monkeypatch.setattr(
        inference.logging, "warning", lambda text, *args: seen.append(text % args)
    )
    return seen


def test_bfloat16_where_the_processor_has_it(make_vit, monkeypatch, tmp_path, warnings):
    set_features(monkeypatch, tmp_path, "avx512_bf16")
    chosen = choose_inference(make_vit(), precision="bfloat16")
    assert (chosen.fused, chosen.precision) == (True, "bfloat16")
    assert warnings == []


def test_float32_and_a_word_where_not(make_vit, monkeypatch, tmp_path, warnings):
    set_features(monkeypatch, tmp_path, "avx512f")
    chosen = choose_inference(make_vit(), precision="bfloat16")
    assert (chosen.fused, chosen.precision) == (True, "float32")
    assert "no bfloat16 instructions" in warnings[0]


def test_what_cannot_be_fused_is_exported_as_it_is(make_vit, images, warnings):
    model = kcp.ConcatPlexer(make_vit(), 2, reducer="select")
    chosen = choose_inference(model)
    assert (chosen.fused, chosen.precision) == (False, "float32")
    assert "multiplexer/reduction" in warnings[0]
    np.testing.assert_array_equal(chosen.predict(images(3)), model(images(3)))


def test_one_n_of_an_elastic_model_that_cannot_be_fused(tiny_vit, images):
    model = kcp.ElasticConcatPlexer(tiny_vit, (2, 1), reducer="select")
    chosen = infer_at_each(kcp.models.by_num_mux(model))
    assert {n: each.fused for n, each in chosen.items()} == {2: False, 1: True}
    for n, each in chosen.items():
        np.testing.assert_allclose(
            each.predict(images(3)), model.at(n)(images(3)), atol=1e-4
        )


def test_without_fusion(make_vit, images):
    vit = make_vit()
    chosen = choose_inference(vit, fuse=False)
    assert not chosen.fused and len(chosen.variables) == len(vit.variables)
    np.testing.assert_array_equal(chosen.predict(images(3)), vit(images(3)))


def test_errors(make_vit):
    with pytest.raises(ValueError, match="`precision` must be one of"):
        choose_inference(make_vit(), precision="float16")
    with pytest.raises(ValueError, match="a form of the fused graph"):
        choose_inference(make_vit(), fuse=False, precision="bfloat16")


def test_cpu_info(monkeypatch, tmp_path):
    set_features(monkeypatch, tmp_path, "avx2 amx_bf16")
    assert cpu.cpu_info() == ("A processor", {"fpu", "avx2", "amx_bf16"})
    assert cpu.multiplies_bfloat16()
    monkeypatch.setattr(cpu, "CPU_INFO", tmp_path / "none")
    assert cpu.cpu_info() == ("", set())


def test_int8_where_the_processor_lacks_it_warns(
    tiny_vit, images, monkeypatch, tmp_path, warnings
):
    set_features(monkeypatch, tmp_path, "avx512f")
    calibration = images(16)
    inferences = infer_at_each(
        {1: tiny_vit}, precision="int8", calibration=calibration, int8_min_agreement=0.0
    )
    assert inferences[1].precision == "int8"
    assert "no int8 instructions (VNNI)" in warnings[0]
    set_features(monkeypatch, tmp_path, "avx_vnni")
    assert cpu.multiplies_int8()


def test_int8_needs_the_fused_graph(tiny_vit, images):
    with pytest.raises(ValueError, match="a form of the fused graph"):
        infer_at_each({1: tiny_vit}, False, "int8", images(16))
