import keras
import numpy as np
import pytest

import keras_concatplexer as kcp
from keras_concatplexer.layers import ProportionalBlock


@pytest.fixture(scope="module", params=["keras-cv", "keras-hub"])
def block_and_parts(request, make_vit, scramble):
    keras.utils.set_random_seed(0)
    vit = make_vit()
    if request.param == "keras-hub":
        vit = kcp.vit.keras_hub_vit(
            kcp.vit.ViTSize(32, 1, 2, 64, 4), 10, image_shape=(16, 16, 3)
        )
    stages = kcp.vit.read_stages(scramble(vit))
    return stages.blocks[0], stages.block_parts[0]


def test_single_patches_make_it_the_block_itself(block_and_parts):
    block, parts = block_and_parts
    tokens = np.random.default_rng(0).normal(size=(2, 5, 32)).astype("float32")
    outputs = ProportionalBlock(parts)(tokens, log_sizes=np.zeros((2, 5), "float32"))
    np.testing.assert_allclose(outputs, block(tokens), atol=1e-5)


def test_a_merged_token_counts_as_often_as_its_patches(block_and_parts):
    block, parts = block_and_parts
    tokens = np.random.default_rng(0).normal(size=(2, 4, 32)).astype("float32")
    repeated = tokens[:, [0, 1, 1, 1, 2, 3, 3]]
    sizes = np.array([[1, 3, 1, 2]] * 2, "float32")
    outputs = ProportionalBlock(parts)(tokens, log_sizes=np.log(sizes))
    expected = np.asarray(block(repeated))[:, [0, 1, 4, 5]]
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


def test_dropout_is_refused(make_vit):
    vit = make_vit(attention_dropout=0.1)
    with pytest.raises(ValueError, match="attention_dropout=0.1"):
        kcp.ConcatPlexer(vit, 2, reducer="tome", proportional_attention=True)


def test_symbolic_shape(block_and_parts):
    tokens, sizes = keras.KerasTensor((None, 5, 32)), keras.KerasTensor((None, 5))
    outputs = ProportionalBlock(block_and_parts[1])(tokens, log_sizes=sizes)
    assert outputs.shape == (None, 5, 32)
