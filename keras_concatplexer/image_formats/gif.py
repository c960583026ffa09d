"""GIF."""

from typing import NamedTuple

import tensorflow as tf

from keras_concatplexer.image_formats.reading import (
    after,
    integer,
    integer64,
    length,
    refuse_unless,
    text,
    values,
    walk,
)
from keras_concatplexer.image_formats.size import (
    check_decoded,
    check_size,
    on_canvas,
)

MAGIC = b"GIF8"
HEADER_BYTES = 13
# What begins a block, GIF89a, appendix A.
EXTENSION, IMAGE, TRAILER = 0x21, 0x2C, b";"
# Encoders write data in sub-blocks of the same length, but for the last one.
SUB_BLOCKS_AT_ONCE = 256
MAX_STEPS = 8192


def decode(content, max_pixels):
    """Decodes the first frame of a GIF as uint8 `(height, width, 3)`.

    The file is cut behind the frame: TensorFlow would unpack all of them.
    """
    width, height = (integer(content, at, 2) for at in (6, 8))
    frame = _find_frame(content)
    inside = (frame.left + frame.width <= width) & (frame.top + frame.height <= height)
    checks = [
        check_size(height, width, max_pixels),
        refuse_unless(frame.steps <= MAX_STEPS, "The GIF has too many blocks."),
        refuse_unless(frame.end > 0, "The GIF holds no whole image."),
        refuse_unless(inside, "The GIF's frame is larger than its screen."),
    ]
    # TensorFlow does not know the screen: it has the frame at the corner.
    place = frame.start + 1
    alone = tf.strings.join(
        [
            text(content, 0, place),
            bytes(4),
            text(content, place + 4, frame.end - place - 4),
            TRAILER,
        ]
    )
    image = tf.io.decode_gif(after(checks, alone))[0]
    image = check_decoded(image, frame.height, frame.width)
    return on_canvas(image, frame.top, frame.left, height, width)


class _Frame(NamedTuple):
    """The first frame's place, and a walk's own state."""

    start: tf.Tensor
    left: tf.Tensor
    top: tf.Tensor
    width: tf.Tensor
    height: tf.Tensor
    # Behind the frame; 0 where there is none.
    end: tf.Tensor
    position: tf.Tensor
    # Whether the position is that of a sub-block, of an image or something else.
    in_blocks: tf.Tensor
    in_image: tf.Tensor
    steps: tf.Tensor
    done: tf.Tensor


def _find_frame(content):
    file_end = length(content)

    def step(frame):
        frame = frame._replace(steps=frame.steps + 1)
        frame = tf.cond(
            frame.in_blocks, lambda: sub_blocks(frame), lambda: block(frame)
        )
        done = frame.done | (frame.position > file_end) | (frame.steps > MAX_STEPS)
        return frame._replace(done=done)

    def block(frame):
        here = frame.position
        head = values(content, here, 10)
        kind, flags = head[0], head[9]
        left, top, width, height = (head[i] + 256 * head[i + 1] for i in (1, 3, 5, 7))
        is_image = kind == IMAGE
        # Descriptor, colors and the first code's length; or the label.
        skipped = tf.where(is_image, 11 + _color_bytes(flags), 2)
        return frame._replace(
            start=here,
            left=left,
            top=top,
            width=width,
            height=height,
            position=here + skipped,
            in_blocks=tf.constant(True),
            in_image=is_image,
            done=~is_image & (kind != EXTENSION),
        )

    def sub_blocks(frame):
        here = frame.position
        size = values(content, here, 1)[0]
        seen = values(content, here, SUB_BLOCKS_AT_ONCE * (size + 1))
        other = seen[:: size + 1] != size
        alike = tf.where(
            tf.reduce_any(other), tf.argmax(other), integer64(SUB_BLOCKS_AT_ONCE)
        )
        is_end = size == 0
        behind = here + tf.where(is_end, integer64(1), alike * (size + 1))
        is_frame_end = is_end & frame.in_image & (behind <= file_end)
        return frame._replace(
            end=tf.where(is_frame_end, behind, 0),
            position=behind,
            in_blocks=~is_end,
            done=is_end & frame.in_image,
        )

    zero, no = integer64(0), tf.constant(False)
    start = HEADER_BYTES + _color_bytes(integer(content, 10, 1))
    return walk(step, _Frame(*[zero] * 6, start, no, no, zero, no))


def _color_bytes(flags):
    """Bytes of the table that the flags of a screen or an image announce."""
    number = tf.bitwise.left_shift(integer64(2), flags % 8)
    return tf.where(flags >= 128, 3 * number, 0)
