"""A folder of images as people have them."""

import os

import numpy as np
import PIL.Image

from tests.image_formats.files import encode, png

RED = np.full((20, 30, 3), (200, 20, 20), "uint8")
TURNED = np.linspace(0, 255, 20 * 30).astype("uint8").reshape(20, 30)
JPEG, PNG = encode(RED, "JPEG"), encode(RED)


def write(root, files):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def turned_by_exif():
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    return encode(np.rot90(TURNED).copy(), exif=exif)


GOOD = {
    "train/cat/photo.jpg": JPEG,
    "train/cat/UPPER.PNG": PNG,
    "train/cat/new.webp": encode(RED, "WEBP"),
    "train/cat/moving.gif": encode(RED, "GIF"),
    "train/cat/palette.bmp": encode(RED, "BMP", "P"),
    "train/cat/webp in truth.jpg": encode(RED, "WEBP"),
    "train/cat/below/deeper/nested.jpg": JPEG,
    "train/cat/without name": JPEG,
    "train/cat/größe 日本.png": PNG,
    "train/dog/deep.png": encode(RED[..., 0].astype("uint16") * 257),
    "train/dog/alpha.png": encode(np.dstack([RED, RED[..., :1]])),
    "train/dog/gray.png": encode(RED, mode="L"),
    "train/dog/print.jpg": encode(RED, "JPEG", "CMYK"),
    "train/dog/upright.png": encode(TURNED),
    "train/dog/turned.png": turned_by_exif(),
    "val/cat/1.jpg": JPEG,
    "val/dog/1.jpg": JPEG,
    "test/cat/1.jpg": JPEG,
    "test/dog/1.jpg": JPEG,
}
BAD = {
    "train/cat/truncated.jpg": JPEG[: len(JPEG) // 2],
    "train/cat/empty.png": b"",
    "train/cat/text.jpg": b"not an image",
    "train/dog/scan.tiff": encode(RED, "TIFF"),
    "train/dog/wide.png": png(1, 40_000),
    "test/dog/truncated.png": PNG[:60],
}
LEFT_OUT = {
    "train/cat/._photo.jpg": b"\0\5\26\7",
    "train/cat/Thumbs.db": b"x",
    "train/.DS_Store": b"x",
    "train/cat/.cache/1.jpg": JPEG,
    "__MACOSX/train/cat/1.jpg": JPEG,
    "train/notes.txt": b"x",
    "train/dog/labels.csv": b"x",
    "test/bird/1.jpg": JPEG,
}


# What stands in the tables of errors of client and scoring, and in those of answers.
WITHOUT_ANSWER = {
    *BAD,
    "train/cat/around",
    "train/dog/broken.jpg",
    "train/dog/pipe.jpg",
}
WITH_ANSWER = {*GOOD, "test/bird/1.jpg"}


def make_messy_folder(root):
    """Writes all of these, and what only a file system can have."""
    write(root, {**GOOD, **BAD, **LEFT_OUT})
    (root / "train" / "empty").mkdir()
    (root / "train" / "cat" / "around").symlink_to(root / "train" / "cat")
    (root / "train" / "dog" / "broken.jpg").symlink_to(root / "none")
    os.mkfifo(root / "train" / "dog" / "pipe.jpg")
