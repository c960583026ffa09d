import pytest
import tensorflow as tf

from keras_concatplexer.image_decoding import decode_image
from keras_concatplexer.reasons import reason_of
from tests.image_formats.files import encode, png
from tests.train.data.messy_folder import RED

PNG, JPEG = encode(RED), encode(RED, "JPEG")
CONTENTS = {
    "text": (b"text", "Not an image: expected a JPEG, PNG, GIF, BMP or WebP."),
    "wide": (png(1, 40_000), "The image has more than 4096 pixels, or more than"),
    "truncated JPEG": (JPEG[: len(JPEG) // 2], "Invalid JPEG data"),
    "truncated PNG": (PNG[:60], "PNG"),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_a_reason_is_a_line_without_names_of_nodes(name):
    content, expected = CONTENTS[name]
    decode = tf.function(lambda content: decode_image(content, 4096, 2**16))
    for function in (decode, lambda content: decode_image(content, 4096, 2**16)):
        with pytest.raises(tf.errors.InvalidArgumentError) as raised:
            function(tf.constant(content))
        reason = reason_of(raised.value)
        assert expected in reason
        assert not set("[]{}\n") & set(reason)


def test_an_error_that_tells_nothing():
    error = tf.errors.InvalidArgumentError(None, None, " [[{{node x}}]] [Op:y]")
    assert reason_of(error) == "cannot be decoded"
