import pytest
from google.protobuf import text_format

from savedmodel_export.serving.batching import (
    allowed_batch_sizes,
    write_batching_params,
)


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


def test_the_server_reads_the_file(messages, tmp_path):
    write_batching_params(tmp_path, [1, 2, 32])
    text = (tmp_path / "batching_params.pbtxt").read_text()
    batching = text_format.Parse(text, messages["BatchingParameters"]())
    assert list(batching.allowed_batch_sizes) == [1, 2, 32]
    assert batching.max_batch_size.value == 32
