import inspect

import keras
import numpy as np
import pytest

import keras_concatplexer as kcp


def test_builds_a_classifier_and_reads_it(make_vit, images):
    vit = make_vit()
    logits = vit(images(3))
    assert logits.shape == (3, 10) and logits.dtype == "float32"
    stages = kcp.vit.read_stages(vit)
    assert stages.grid_shape == (4, 4) and stages.image_shape == (16, 16, 3)
    assert [block.name for block in stages.blocks] == [f"block_{i}" for i in range(2)]
    tokens = stages.embedding(images(3))
    for block in stages.blocks:
        tokens = block(tokens)
    found = stages.head(stages.norm(tokens)[:, 0])
    np.testing.assert_allclose(found, logits, atol=1e-6)


def test_a_vit_of_more_than_ten_blocks_is_read_in_order():
    size = kcp.vit.ViTSize(8, 12, 2, 16, 4)
    stages = kcp.vit.read_stages(kcp.vit.keras_cv_vit(size, (8, 8, 1), 2))
    assert [block.name for block in stages.blocks] == [f"block_{i}" for i in range(12)]


def test_vit_b16_has_the_published_number_of_parameters():
    # 86.57 M, Dosovitskiy et al., arXiv 2010.11929, table 1 (86M).
    vit = kcp.vit.keras_cv_vit("vit_b16", (224, 224, 3), 1000)
    assert vit.count_params() == 86_567_656


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"image_shape": (16, 16)}, "must be \\(height, width, channels\\)"),
        ({"image_shape": (16, 20, 3)}, "square images only"),
        ({"image_shape": (18, 18, 3)}, "4 does not divide 18. Use images of 16 or 20"),
        ({"num_classes": 0}, "`num_classes` must be a positive integer"),
    ],
)
def test_errors(make_vit, kwargs, message):
    with pytest.raises(ValueError, match=message):
        make_vit(**kwargs)


def test_another_backend_or_data_format_is_one_sentence(make_vit, monkeypatch):
    monkeypatch.setattr(keras.config, "image_data_format", lambda: "channels_first")
    with pytest.raises(ValueError, match="set_image_data_format\\('channels_last'"):
        make_vit()
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match="need the TensorFlow backend; use `keras_hub"):
        make_vit()


def test_the_config_is_the_constructors_arguments(make_vit):
    vit = make_vit(attention_dropout=0.1)
    arguments = set(inspect.signature(kcp.vit.KerasCVViT).parameters)
    assert set(vit.get_config()) == arguments
    copy = type(vit).from_config(vit.get_config())
    assert copy.get_config() == vit.get_config()


def test_other_models_are_refused():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="made by `keras_concatplexer.vit"):
        kcp.vit.read_stages(model)


def test_another_global_policy_is_refused(make_vit, global_dtype_policy):
    vit = make_vit()
    global_dtype_policy("mixed_bfloat16")
    with pytest.raises(ValueError, match="made under 'float32', the global policy"):
        kcp.vit.read_stages(vit)
