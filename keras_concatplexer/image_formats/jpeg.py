"""JPEG."""

from typing import NamedTuple

import tensorflow as tf

from keras_concatplexer.image_formats.exif import PREFIX, orientation, upright
from keras_concatplexer.image_formats.reading import (
    after,
    as_integer,
    integer64,
    length,
    refuse_unless,
    values,
    walk,
)
from keras_concatplexer.image_formats.size import check_decoded, check_size

MAGIC = b"\xff\xd8\xff"
# The second bytes of markers, ITU-T T.81, table B.1.
END, SCAN, APP1 = 0xD9, 0xDA, 0xE1
FRAMES = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), 0xCD, 0xCE, 0xCF)
BASELINE, EXTENDED, PROGRESSIVE = FRAMES[:3]
# These stand alone; all others begin a segment with its length.
ALONE = (0x00, 0x01, *range(0xD0, 0xD9), 0xFF)
# A marker stands right behind a segment, or somewhere behind the data of a scan.
NEAR, FAR = 16, 2**16
MAX_SEGMENTS = 2000
# A decoder goes over the whole image for each scan; encoders write 10, of CMYK 18.
SCANS_OF_LARGEST = 18
MAX_SCANS = 100


def decode(content, max_pixels):
    """Decodes a JPEG as uint8 `(height, width, 3)`, upright."""
    found = _find_segments(content)
    height, width = found.height, found.width
    supported = tf.reduce_any(
        found.frame == integer64((BASELINE, EXTENDED, PROGRESSIVE))
    )
    blocks = (height + 7) // 8 * ((width + 7) // 8)
    checks = [
        refuse_unless(
            found.number <= MAX_SEGMENTS,
            f"The JPEG has more than {MAX_SEGMENTS} segments.",
        ),
        refuse_unless(
            supported, "The JPEG is neither baseline nor progressive, or has no size."
        ),
        check_size(height, width, max_pixels),
        refuse_unless(
            (found.scans <= MAX_SCANS)
            & (found.scans * height * width <= SCANS_OF_LARGEST * max_pixels),
            "The JPEG has too many scans for its size:",
            found.scans,
        ),
        # The code of a block of pixels takes one bit or more.
        refuse_unless(
            8 * length(content) >= blocks,
            "The JPEG is too short for the size in its header; height and width:",
            tf.stack([height, width]),
        ),
    ]
    image = tf.io.decode_jpeg(after(checks, content), channels=3)
    turned = orientation(content, found.exif, found.exif_bytes)
    return upright(check_decoded(image, height, width), turned)


class _Segments(NamedTuple):
    """What a file's segments tell, 0 if nothing, and a walk's own state."""

    frame: tf.Tensor
    height: tf.Tensor
    width: tf.Tensor
    components: tf.Tensor
    scans: tf.Tensor
    exif: tf.Tensor
    exif_bytes: tf.Tensor
    position: tf.Tensor
    window: tf.Tensor
    number: tf.Tensor
    done: tf.Tensor


def _find_segments(content):
    """Goes from marker to marker as libjpeg does, to the end of the last scan."""
    end = length(content)
    alone = integer64(ALONE)[:, tf.newaxis]
    exif_prefix = integer64(list(PREFIX))

    def step(found):
        seen = values(content, found.position, found.window)
        is_marker = (seen[:-1] == 255) & tf.reduce_all(seen[1:] != alone, axis=0)

        def segment():
            return _take_segment(found, found.position + tf.argmax(is_marker))

        def search_on():
            position = found.position + found.window - 1
            return found._replace(
                position=position, window=integer64(FAR), done=position >= end
            )

        return tf.cond(tf.reduce_any(is_marker), segment, search_on)

    def _take_segment(found, here):
        # Marker, length, and as much as a frame or the prefix of Exif needs.
        head = values(content, here, 10)
        kind, segment_bytes = head[1], as_integer(head[2:4], big_endian=True)
        number = found.number + 1
        is_frame = tf.reduce_any(kind == integer64(FRAMES))
        is_scan = kind == SCAN
        is_exif = (kind == APP1) & (found.exif == 0)
        is_exif &= tf.reduce_all(head[4:10] == exif_prefix)
        # Behind one scan of all components comes nothing that is decoded.
        is_only = is_scan & (head[4] == found.components)
        is_only &= found.frame != PROGRESSIVE
        behind = here + 2 + segment_bytes
        return _Segments(
            frame=tf.where(is_frame, kind, found.frame),
            height=tf.where(
                is_frame, as_integer(head[5:7], big_endian=True), found.height
            ),
            width=tf.where(
                is_frame, as_integer(head[7:9], big_endian=True), found.width
            ),
            components=tf.where(is_frame, head[9], found.components),
            scans=found.scans + tf.cast(is_scan, tf.int64),
            exif=tf.where(is_exif, here + 4, found.exif),
            exif_bytes=tf.where(is_exif, segment_bytes - 2, found.exif_bytes),
            position=behind,
            window=tf.where(is_scan, integer64(FAR), integer64(NEAR)),
            number=number,
            done=(kind == END)
            | is_only
            | (segment_bytes < 2)
            | (behind >= end)
            | (number > MAX_SEGMENTS)
            | (found.scans > MAX_SCANS),
        )

    zero = integer64(0)
    start = _Segments(
        *[zero] * 7,
        position=integer64(2),
        window=integer64(NEAR),
        number=zero,
        done=tf.constant(False),
    )
    return walk(step, start)
