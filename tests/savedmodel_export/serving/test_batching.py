import pytest

from savedmodel_export.serving.batching import allowed_batch_sizes


@pytest.mark.parametrize(
    ("max_batch_size", "multiple_of", "expected"),
    [
        (32, 1, [1, 2, 4, 8, 16, 32]),
        (32, 2, [2, 4, 8, 16, 32]),
        (32, 3, [3, 6, 12, 24, 30]),
        (12, 1, [1, 2, 4, 8, 12]),
        (1, 1, [1]),
        (8, 8, [8]),
    ],
)
def test_sizes_to_pad_to(max_batch_size, multiple_of, expected):
    assert allowed_batch_sizes(max_batch_size, multiple_of) == expected


def test_errors():
    with pytest.raises(ValueError, match="`max_batch_size` must be at least 4"):
        allowed_batch_sizes(3, 4)
    with pytest.raises(ValueError, match="must be a positive integer"):
        allowed_batch_sizes(0)
