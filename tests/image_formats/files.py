"""Image files made by hand: what no encoder writes."""

import io
import struct
import zlib

import numpy as np
import PIL.Image

MAX_PIXELS = 2**24


def encode(image, format="PNG", mode=None, **options):
    """A uint8 image as a file."""
    picture = PIL.Image.fromarray(image)
    stream = io.BytesIO()
    (picture if mode is None else picture.convert(mode)).save(stream, format, **options)
    return stream.getvalue()


def by_pillow(content):
    """A file's pixels as int64 `(height, width, 3)`, not turned."""
    return np.asarray(PIL.Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


def png_chunk(kind, content):
    check = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + check


def png(height, width, *chunks, depth=1, color=0, rows=None):
    """A PNG of zeros, gray of one bit by default, with more chunks before the image."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    if rows is None:
        row = bytes(1 + (width * depth * samples + 7) // 8)
        packer = zlib.compressobj(9)
        rows = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [
            png_chunk(b"IHDR", header),
            *chunks,
            png_chunk(b"IDAT", rows),
            png_chunk(b"IEND", b""),
        ]
    )


def webp_chunk(kind, content):
    padding = bytes(len(content) % 2)
    return kind + struct.pack("<I", len(content)) + content + padding


def webp(*chunks):
    content = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(content)) + content


def webp_canvas(height, width, flags=0):
    sides = [struct.pack("<I", side - 1)[:3] for side in (width, height)]
    return webp_chunk(b"VP8X", bytes([flags, 0, 0, 0]) + b"".join(sides))


def webp_frame(left, top, height, width, *chunks):
    numbers = (left // 2, top // 2, width - 1, height - 1, 100)
    numbers = b"".join(struct.pack("<I", number)[:3] for number in numbers)
    return webp_chunk(b"ANMF", numbers + bytes(1) + b"".join(chunks))


def webp_lossless_header(height, width):
    """A lossless WebP that is all header."""
    bits = (width - 1) | (height - 1) << 14
    return webp(webp_chunk(b"VP8L", b"\x2f" + struct.pack("<I", bits) + bytes(15)))


def jpeg_with_size(content, height, width):
    """A JPEG that claims another size."""
    start = next(
        content.index(marker)
        for marker in (b"\xff\xc0", b"\xff\xc2")
        if marker in content
    )
    return (
        content[: start + 5] + struct.pack(">HH", height, width) + content[start + 9 :]
    )


def jpeg_with_scans(content, number):
    """A progressive JPEG whose last scan comes `number` times more."""
    last = content.rindex(b"\xff\xda")
    scan = content[last:-2]
    return content[:-2] + scan * number + b"\xff\xd9"


def gif_with_size(content, height, width):
    """A GIF with another screen."""
    return content[:6] + struct.pack("<HH", width, height) + content[10:]


def gif_with_frame(content, left, top, height, width):
    """A GIF whose first frame claims another place."""
    start = gif_frame(content)
    place = struct.pack("<HHHH", left, top, width, height)
    return content[: start + 1] + place + content[start + 9 :]


def gif_with_frames(content, number):
    """A GIF whose frame comes `number` times more."""
    return content[:-1] + content[gif_frame(content) : -1] * number + b";"


def gif_frame(content):
    """Where the first frame begins, in a file without extensions."""
    flags = content[10]
    start = 13 + (3 * 2 ** (flags % 8 + 1) if flags & 128 else 0)
    while content[start : start + 1] == b"!":
        start += 2
        while content[start]:
            start += 1 + content[start]
        start += 1
    return start


def bmp(rows, bits, palette=b"", colors=0, compression=0, height=None, width=None):
    """A BMP of rows from the bottom up; by default each of one byte a pixel."""
    pixels = b"".join(row + bytes(-len(row) % 4) for row in rows)
    start = 54 + len(palette)
    height = len(rows) if height is None else height
    width = len(rows[0]) * 8 // bits if width is None else width
    info = struct.pack(
        "<IiiHHIIiiII", 40, width, height, 1, bits, compression, 0, 0, 0, colors, 0
    )
    head = struct.pack("<IHHI", start + len(pixels), 0, 0, start)
    return b"BM" + head + info + palette + pixels


def exif(orientation, byte_order="<"):
    """Exif data with two entries: another tag, and the orientation."""
    magic = b"II*\0" if byte_order == "<" else b"MM\0*"
    entries = [
        struct.pack(byte_order + "HHIHH", tag, 3, 1, value, 0)
        for tag, value in ((0x0103, 6), (0x0112, orientation))
    ]
    number = struct.pack(byte_order + "H", len(entries))
    return magic + struct.pack(byte_order + "I", 8) + number + b"".join(entries)


def bombs():
    """dict, name -> a file that asks for far more than it should, all refused."""
    picture = np.random.default_rng(0).integers(0, 256, (16, 16, 3), "uint8")
    plain = np.zeros((2048, 2048, 3), "uint8")
    gif = encode(picture, "GIF")
    sides = {"square": (20_000, 20_000), "wide": (1, 2**30), "high": (2**30, 1)}
    sizes = {"most": (65_535, 65_535), "large": (5000, 5000), "empty": (0, 0)}
    progressive = encode(plain, "JPEG", progressive=True)
    found = {
        "webp lossless": webp_lossless_header(16_383, 16_383),
        "webp canvas": webp(webp_canvas(2**24, 2**24), webp_lossless_header(4, 4)[12:]),
        "gif frame": gif_with_frame(gif, 0, 0, 65_535, 65_535),
        "gif frame beside": gif_with_frame(gif, 10, 0, 16, 16),
        "jpeg 100 scans": jpeg_with_scans(progressive, 100),
        "jpeg 10000 scans": jpeg_with_scans(progressive, 10_000),
        "bmp wide": bmp([b"abc"], 24, width=2**30),
        "bmp high": bmp([b"abc"], 24, height=2**31 - 1),
        "bmp most negative": bmp([b"abc"], 24, height=-(2**31)),
        "png chunks": png(8, 8, *[png_chunk(b"tEXt", b"a\0b")] * 20_000),
    }
    for name, (height, width) in (sides | sizes).items():
        rows = zlib.compress(bytes(2**16))
        found[f"png {name}"] = png(height, width, rows=rows)
    for name, (height, width) in sizes.items():
        jpeg = encode(picture, "JPEG")
        found[f"jpeg {name}"] = jpeg_with_size(jpeg, height, width)
        found[f"progressive {name}"] = jpeg_with_size(progressive, height, width)
        found[f"gif {name}"] = gif_with_size(gif, height, width)
    # Within the budget, but too short.
    found["jpeg forged"] = jpeg_with_size(encode(picture, "JPEG"), 4096, 4096)
    return found
