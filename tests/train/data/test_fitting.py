import pytest

from train.data.fitting import check_cost, default_side


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


def test_a_cost_out_of_reach_is_refused_with_what_mends_it():
    check_cost("vit_nano4", 64, 64)
    check_cost("vit_b16", 224, 256)
    with pytest.raises(ValueError, match="3137 tokens.*56 GiB.*=64, .*at most 18"):
        check_cost("vit_nano4", 224, 64)
    check_cost("vit_nano4", 224, 18)
