import pytest

from keras_concatplexer.vit import SIZES, ViTSize
from keras_concatplexer.vit.sizes import get_size


def test_names_and_own_sizes():
    assert get_size("vit_b16") is SIZES["vit_b16"]
    own = ViTSize(8, 1, 2, 16, 4)
    assert get_size(own) is own
    assert all(size.hidden_dim % size.num_heads == 0 for size in SIZES.values())


def test_unknown_name_lists_the_known():
    with pytest.raises(ValueError, match="vit_nano4.*Received: size='vit_xxl'"):
        get_size("vit_xxl")
