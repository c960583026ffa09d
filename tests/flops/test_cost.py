import pytest

from keras_concatplexer.flops import Cost


def test_the_total_is_the_sum_of_the_stages():
    cost = Cost({"embedding": 3, "backbone": 5})
    assert cost.macs_per_image == 8
    assert cost.flops_per_image == 16
    assert cost.gmacs_per_image == 8e-9


def test_the_saving_is_a_fraction_of_the_reference():
    assert Cost({"model": 3}).saving(Cost({"model": 4})) == 0.25


@pytest.mark.parametrize(
    "macs, headline",
    [
        (
            17_563_797_504,
            "17.564 GMACs per image (multiply-accumulates; 35.128 GFLOPs)",
        ),
        (2_500_000, "2.500 MMACs per image (multiply-accumulates; 5.000 MFLOPs)"),
        (320, "0.320 kMACs per image (multiply-accumulates; 0.640 kFLOPs)"),
    ],
)
def test_the_text_names_its_unit_and_every_stage(macs, headline):
    text = str(Cost({"head": 0, "backbone": macs}))
    assert text.splitlines()[0] == headline
    assert [line.split()[0] for line in text.splitlines()[1:]] == [
        "head",
        "backbone",
        "total",
    ]
