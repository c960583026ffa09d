import keras
import numpy as np
import pytest

import keras_concatplexer as kcp
from keras_concatplexer.analysis import (
    attention_between_images,
    kept_of_patches,
    pictures,
)


@pytest.fixture(scope="module")
def group_model(same_vit):
    """N = 2, one block in front and one behind."""
    return kcp.ConcatPlexer(same_vit, num_mux=2, patchifier_depth=1)


def test_what_is_selected_is_what_matters(same_vit, images):
    model = kcp.ConcatPlexer(
        same_vit, 2, patchifier_depth=1, reducer="select", attention_scope="image"
    )
    kept = kept_of_patches(model, images(1)[0])
    assert kept.shape == (4, 4)
    # Half of the 16 patches are kept, the others are dropped.
    assert np.count_nonzero(kept) == 8
    assert kept.sum() == pytest.approx(1)


def test_every_patch_matters_to_a_convolution(group_model, images):
    kept = kept_of_patches(group_model, images(1)[0])
    assert kept.min() > 0 and kept.sum() == pytest.approx(1)
    picture = pictures.draw_kept(np.zeros((16, 16, 3)), kept)
    assert "share, %" in [axes.get_ylabel() for axes in picture.axes]


def test_attention_between_images_is_that_of_the_block(group_model, images):
    found = attention_between_images(group_model, images(4))
    assert found.shape == (1, 2, 2)
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-6)
    (parts,) = group_model.block_parts[1:]
    front = keras.Model(group_model.input, group_model.get_layer("multiplexer").output)
    tokens = parts.norm1(front(images(4)))
    _, weights = parts.attention(tokens, tokens, return_attention_scores=True)
    weights = keras.ops.convert_to_numpy(weights).mean((0, 1))
    half = len(weights) // 2
    expected = weights[:half, half:].sum(1).mean()
    assert found[0, 0, 1] == pytest.approx(expected, abs=1e-6)
    picture = pictures.draw_attention(found)
    assert picture.axes[0].get_title() == "block 0"


def test_other_models_are_refused(same_vit, group_model, images):
    with pytest.raises(ValueError, match="Expected a `ConcatPlexer`"):
        kept_of_patches(same_vit, images(1)[0])
    with pytest.raises(ValueError, match="full groups of 2 images. Received: 3"):
        attention_between_images(group_model, images(3))
    alone = kcp.ConcatPlexer(same_vit, 1, patchifier_depth=1, strides=1)
    with pytest.raises(ValueError, match="keeps all tokens"):
        kept_of_patches(alone, images(1)[0])
    with pytest.raises(ValueError, match="attend to each other"):
        attention_between_images(alone, images(2))
