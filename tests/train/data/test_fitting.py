import pytest

import keras_concatplexer as kcp
from train.data.fitting import check_cost, default_side, fitting_size


@pytest.mark.parametrize(
    "size, side, expected",
    [
        ("vit_nano4", 8, 16),
        ("vit_nano4", 28, 28),
        ("vit_nano4", 30, 32),
        ("vit_nano4", 4000, 64),
        ("vit_b16", 32, 64),
        ("vit_b16", 4000, 224),
        ("vit_b32", 4000, 224),
    ],
)
def test_the_side_fits_images_and_patches(size, side, expected):
    assert default_side(side, size) == expected


@pytest.mark.parametrize(
    "side, size, image_side",
    [
        (8, "vit_nano4", 16),
        (20, "vit_nano4", 20),
        # CIFAR-10 and Tiny ImageNet.
        (32, "vit_nano4", 32),
        (64, "vit_nano8", 64),
        (95, "vit_nano8", 96),
        (100, "vit_ti16", 112),
        (224, "vit_ti16", 224),
        (4000, "vit_ti16", 224),
    ],
)
def test_the_size_fits_the_images(side, size, image_side):
    assert (fitting_size("auto", side), default_side(side, "auto")) == (
        size,
        image_side,
    )
    assert fitting_size("vit_b16", side) == "vit_b16"


def test_the_size_fits_the_side_that_it_gave():
    for side in (*range(1, 260), 4000):
        image_side = default_side(side, "auto")
        size = fitting_size("auto", image_side)
        assert size == fitting_size("auto", side)
        assert image_side % kcp.vit.SIZES[size].patch_size == 0
        # A step at the default batch can be paid.
        check_cost(size, image_side, 64)


def test_a_cost_out_of_reach_is_refused_with_what_mends_it():
    check_cost("vit_nano4", 64, 64)
    check_cost("vit_b16", 224, 256)
    with pytest.raises(ValueError, match="3137 tokens.*56 GiB.*=64, .*at most 18"):
        check_cost("vit_nano4", 224, 64)
    check_cost("vit_nano4", 224, 18)
